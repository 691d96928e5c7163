"""The command line: parse, load, dispatch; only the user's slips lose their traceback."""

from __future__ import annotations

import argparse
import os
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from functools import partial
from pathlib import Path

import connectomics
from connectomics.config import STAGES, Config, dump_config, load_configs
from connectomics.config.data import VolumesConfig
from connectomics.errors import CheckpointError, ConfigError, UserError, printable
from connectomics.files import user_path
from connectomics.lookup import pick
from connectomics.runs.demos import DEMOS, USUAL
from connectomics.screen.console import later_rank, quiet_libraries
from connectomics.stopping import describe_stop, status_of
from connectomics.volumes.labelled import open_labelled

EPILOG = """\
examples:
  main.py --demo                                                         a whole run on a synthetic volume
  main.py --demo polarity                                                the same, and which side of a synapse is which
  main.py --config tutorials/syn_cremi.yaml                              train
  main.py --config tutorials/syn_cremi.yaml system.num_gpus=4            train, with one setting changed
  main.py --config tutorials/syn_cremi.yaml --checkpoint RUN/checkpoints/last.ckpt               go on training
  main.py --config tutorials/syn_cremi.yaml --resume auto                go on where the newest run is, or begin
  main.py --config tutorials/syn_cremi.yaml --mode test --checkpoint RUN/checkpoints/last.ckpt   predict and score
  main.py --config tutorials/syn_cremi.yaml --mode tune --checkpoint RUN/checkpoints/last.ckpt   find the threshold
"""

BEGINS_ANEW = "; a demo does not go on, it begins anew with the same command"


def main(argv: Sequence[str] | None = None) -> int:
    """Run one mode of one config, and return the exit status."""
    args = parse_args(argv)
    # Threads that spin while they wait starve the ones they wait for as soon as anything else wants a core, such as
    # the workers that cut patches: a training step then takes several times as long. Set before torch is imported.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    try:
        mode = "demo" if args.demo is not None else args.mode
        stage = "train" if mode == "demo" else mode
        configs = _load(args, mode)
        trains = mode in ("train", "demo") and not args.print_config and not args.preview
        if not trains and (rank := later_rank()) is not None:  # one process works, and touches the files
            print(f"{rank}: nothing to do; the first process of this run does the work", file=sys.stderr)
            return 0
        if args.print_config:
            print(dump_config(configs[stage]), end="")
            return 0
        return MODES[mode](configs, args)
    except UserError as error:
        print(f"error: {printable(_located(str(error), args))}", file=sys.stderr)
        return 2
    except KeyboardInterrupt as stop:
        print(describe_stop(stop), file=sys.stderr)
        return status_of(stop)


def _load(args: argparse.Namespace, mode: str) -> dict[str, Config]:
    if args.demo is None:
        return load_configs(args.config, args.overrides, mode, tuned=args.tuned)
    chosen = pick(DEMOS, args.demo, "--demo")
    return load_configs(chosen.settings, args.overrides, mode, chosen.base)


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Parse the command line; a wrong one ends with status 2."""
    parser = argparse.ArgumentParser(
        prog="main.py", epilog=EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter,
        description="Train a network to find synapses in volume EM, predict whole volumes, score them as CREMI does.",
    )  # fmt: skip
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--config", type=user_path, metavar="FILE", help="YAML file of settings")
    source.add_argument(
        "--demo", nargs="?", const=USUAL, metavar="NAME",
        help=f"train and test on a synthetic phantom; needs no data; one of {', '.join(DEMOS)}, default: {USUAL}",
    )  # fmt: skip
    parser.add_argument("--mode", choices=[m for m in MODES if m != "demo"], default="train", help="default: train")
    parser.add_argument(
        "--checkpoint", type=user_path, metavar="FILE", help="train: go on from it; else: what predicts"
    )
    parser.add_argument(
        "--resume", choices=["auto"], help="train: go on from the newest checkpoint of the experiment, or begin"
    )
    parser.add_argument("--tuned", type=user_path, metavar="FILE", help="test: settings that --mode tune wrote")
    parser.add_argument(
        "--out", type=user_path, metavar="DIR", help="test, tune: where results go, instead of RUN/results"
    )
    parser.add_argument(
        "--restart", action="store_true", help="test, tune: drop unfinished predictions that other settings began"
    )
    parser.add_argument("--fast-dev-run", type=_count, default=0, metavar="N", help="try N batches, write nothing")
    parser.add_argument("--preview", type=_count, default=0, metavar="N", help="draw N augmented patches and exit")
    parser.add_argument("--print-config", action="store_true", help="print the folded settings and exit")
    parser.add_argument("--version", action="version", version=connectomics.__version__)
    parser.add_argument("overrides", nargs="*", metavar="key=value", help="settings, such as system.num_gpus=4")
    args = parser.parse_intermixed_args(argv)
    if args.demo is not None and "=" in args.demo:  # a setting that follows the bare flag
        args.overrides.insert(0, args.demo)
        args.demo = USUAL
    _require_consistent(parser, args)
    return args


def _require_consistent(parser: argparse.ArgumentParser, args: argparse.Namespace) -> None:
    """End with status 2 where arguments do not go together."""
    if args.demo is not None and (args.mode != "train" or args.checkpoint or args.fast_dev_run or args.preview):
        parser.error("--demo trains and tests by itself; with it go only settings (key=value) and --print-config")
    if args.tuned and (args.demo is not None or args.mode != "test"):
        parser.error("--tuned gives test mode its threshold and minimum size; it goes with --mode test")
    if (args.out or args.restart) and (args.demo is not None or args.mode == "train"):
        parser.error("--out and --restart are about predictions; they go with --mode test and --mode tune")
    if args.resume and (args.demo is not None or args.mode != "train" or args.checkpoint or args.preview):
        parser.error("--resume auto finds the checkpoint that a training goes on from; it goes with --mode train alone")
    if args.preview and args.mode != "train":
        parser.error("--preview draws training patches; it goes with --mode train")


def _count(text: str) -> int:
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a count, such as 2")
    return int(text)


def _located(message: str, args: argparse.Namespace) -> str:
    """Say, in front of a complaint that begins with the key of a setting, where that was written."""
    sections = tuple(f"{spec.name}." for spec in fields(Config))
    if not message.startswith(sections):
        return message
    key = message.split()[0].rstrip(":").replace("[", ".").replace("]", "")
    if any(f"{key}.".startswith(f"{name}.") for name in _overridden(args.overrides)):
        return f"command line: {message}"
    return f"{DEMOS[args.demo].settings if args.config is None else args.config}: {message}"


def _overridden(overrides: Sequence[str]) -> list[str]:
    """Return the keys that overrides name, without the mode that some of them begin with."""
    stages = "|".join(("default", *STAGES))
    return [re.sub(rf"^({stages})\.", "", text.partition("=")[0]) for text in overrides]


def _require_checkpoint_file(args: argparse.Namespace) -> None:
    if args.checkpoint is not None and not args.checkpoint.exists():
        raise CheckpointError(f"--checkpoint {args.checkpoint}: no such file")


def _train(configs: Mapping[str, Config], args: argparse.Namespace) -> int:
    config = configs["train"]
    open_labelled(config.data.train, "data.train", config.model.in_channels, need_label=True)
    if config.data.val.image:
        open_labelled(config.data.val, "data.val", config.model.in_channels, need_label=True)
    _require_checkpoint_file(args)
    from connectomics.runs.assemble import check_monitored, check_names
    from connectomics.runs.train import newest_of, resume_hint, train
    from connectomics.training.interruption import TrainingInterrupted

    check_names(configs)
    check_monitored(configs["train"])
    if args.preview:
        _preview(configs["train"], args.preview)
        return 0
    checkpoint = args.checkpoint
    if args.resume:
        checkpoint, is_done = newest_of(config)
        if is_done:
            return 0
    try:
        train(config, checkpoint, args.fast_dev_run)
    except TrainingInterrupted as interrupted:
        if later_rank() is not None:  # the first process speaks, and tells what started them
            return 0
        print(resume_hint(interrupted), file=sys.stderr)
        return interrupted.status
    return 0


def _preview(config: Config, count: int) -> None:
    from connectomics.data.datamodule import VolumesDataModule
    from connectomics.data.preview import write_preview

    path = Path(config.save_path or "") / "preview.png"
    write_preview(VolumesDataModule(config), count, path)
    print(f"{count} training patches, as they are and after each augmentation: {path}")


def _predict(mode: str, configs: Mapping[str, Config], args: argparse.Namespace) -> int:
    """Run test or tune mode."""
    section, key = _volumes_of(mode, configs)
    config = configs[mode]
    if "save_path" in _overridden(args.overrides):
        raise ConfigError(
            f"save_path is where trainings go; --mode {mode} writes into the run of its checkpoint, or into --out DIR"
        )
    need_label = mode == "tune" or config.evaluation.enabled
    volumes = open_labelled(section, key, config.model.in_channels, need_label)  # before torch: a slip is told at once
    _require_checkpoint_file(args)
    from connectomics.runs.assemble import check_deciding, check_names
    from connectomics.runs.job import build_job
    from connectomics.runs.test import test
    from connectomics.runs.trial import try_volumes
    from connectomics.runs.tune import tune

    quiet_libraries()
    check_names(configs)
    if mode == "tune":
        check_deciding(config)
    job = build_job(mode, config, args.checkpoint, volumes, section, args.out, args.restart, args.fast_dev_run)
    try:
        if args.fast_dev_run:
            try_volumes(job, args.fast_dev_run)
        else:
            {"test": test, "tune": tune}[mode](job)
    except KeyboardInterrupt as stop:
        kept = "; what was predicted is kept, and the same command goes on from there"
        print(describe_stop(stop, kept), file=sys.stderr)
        return status_of(stop)
    return 0


def _volumes_of(mode: str, configs: Mapping[str, Config]) -> tuple[VolumesConfig, str]:
    """Return the section that names the volumes of test or tune mode, and its key.

    Tune mode has volumes of its own, else those that training validates on.
    """
    if mode == "test":
        return configs["test"].data.test, "data.test"
    own, of_training = configs["tune"].data.val, configs["train"].data.val
    return (of_training, "train.data.val") if not own.image and of_training.image else (own, "data.val")


def _demo(configs: Mapping[str, Config], args: argparse.Namespace) -> int:
    from connectomics.runs.assemble import check_names
    from connectomics.runs.demo import demo
    from connectomics.training.interruption import TrainingInterrupted

    check_names(configs)
    try:
        demo(DEMOS[args.demo], configs)
    except TrainingInterrupted as interrupted:
        print(f"{interrupted}{BEGINS_ANEW}", file=sys.stderr)
        return interrupted.status
    except KeyboardInterrupt as stop:
        print(describe_stop(stop, BEGINS_ANEW), file=sys.stderr)
        return status_of(stop)
    return 0


MODES: Mapping[str, Callable[[Mapping[str, Config], argparse.Namespace], int]] = {
    "train": _train,
    "tune": partial(_predict, "tune"),
    "test": partial(_predict, "test"),
    "demo": _demo,
}
"""`--mode` to what runs it; each imports torch only when it is called."""
