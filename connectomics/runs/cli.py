"""The command line: parse, load, dispatch; only the user's slips lose their traceback."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from functools import partial
from pathlib import Path

from connectomics.config import Config, dump_config, fold_settings, load_configs
from connectomics.config.data import VolumesConfig
from connectomics.data.learning_sources import LearningSources, open_learning
from connectomics.errors import ConfigError, UserError, printable
from connectomics.lookup import pick
from connectomics.planning.wish import Wish, open_wished
from connectomics.runs.arguments import overridden, parse_args, settings_for
from connectomics.runs.demos import DEMOS
from connectomics.runs.folder import find_checkpoint
from connectomics.screen.console import later_rank, quiet_libraries
from connectomics.stopping import describe_stop, status_of
from connectomics.volumes.labelled import open_labelled

BEGINS_ANEW = "; a demo does not go on, it begins anew with the same command"


def main(argv: Sequence[str] | None = None, prog: str = "main.py") -> int:
    """Run one mode of one config, and return the exit status; `prog` is what the usage calls the command."""
    args = parse_args(argv, prog)
    # Threads that spin while they wait starve the ones they wait for as soon as anything else wants a core, such as
    # the workers that cut patches: a training step then takes several times as long. Set before torch is imported.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    try:
        if args.init is not None:
            return _init(args)
        mode = "demo" if args.demo is not None else args.mode
        stage = {"demo": "train", "predict": "test"}.get(mode, mode)
        configs = _load(args, mode)
        trains = mode in ("train", "demo") and not args.print_config and not args.preview
        alone = not trains and args.shard is None
        if alone and (rank := later_rank()) is not None:  # one process works, and touches the files
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
    if args.demo is not None:
        chosen = pick(DEMOS, args.demo, "--demo")
        return load_configs(chosen.settings, args.overrides, mode, chosen.base)
    if mode != "predict":
        return load_configs(args.config, args.overrides, mode, tuned=args.tuned)
    given = settings_for(args.images, has_file=args.config is not None)
    if args.config is not None:
        return load_configs(args.config, args.overrides, "test", tuned=args.tuned, before=given)
    wished = fold_settings({"": {}}, args.overrides, "test", args.tuned, given)  # a slip is told before torch comes
    _require_images(wished["test"].data.test)
    first = find_checkpoint(args.checkpoints[0])
    from connectomics.training.checkpoints import read_settings

    trained_with = {str(first): read_settings(first)}
    return fold_settings(trained_with, args.overrides, "test", args.tuned, given)


def _located(message: str, args: argparse.Namespace) -> str:
    """Say, in front of a complaint that begins with the key of a setting, where that was written."""
    sections = tuple(f"{spec.name}." for spec in fields(Config))
    if not message.startswith(sections):
        return message
    key = message.split()[0].rstrip(":").replace("[", ".").replace("]", "")
    if args.images and key.startswith("data.test.image."):
        return f"command line: {message.partition(': ')[2]}"
    given = overridden(args.overrides)
    if any(f"{key}.".startswith(f"{name}.") or f"{name}.".startswith(f"{key}.") for name in given):
        return f"command line: {message}"
    if args.init is not None:
        return message
    source = DEMOS[args.demo].settings if args.demo is not None else args.config or args.checkpoints[0]
    return f"{source}: {message}"


def _train(configs: Mapping[str, Config], args: argparse.Namespace) -> int:
    config = configs["train"]
    sources = open_learning(config.data, config.model.in_channels)
    checkpoint = find_checkpoint(args.checkpoints[0]) if args.checkpoints else None
    from connectomics.runs.assemble import check_monitored, check_names
    from connectomics.runs.train import newest_of, resume_hint, train
    from connectomics.runs.training_job import build_training_job, every_mode
    from connectomics.training.interruption import TrainingInterrupted

    check_names(configs)
    check_monitored(configs["train"])
    if args.preview:
        _preview(configs["train"], sources, args.preview)
        return 0
    if args.resume:
        checkpoint, is_done = newest_of(config.save_path or "", config.optimization.max_steps)
        if is_done:
            return 0
    modes = every_mode(args.config, args.overrides, configs)
    try:
        train(build_training_job(config, sources, checkpoint, args.fast_dev_run, modes))
    except TrainingInterrupted as interrupted:
        if later_rank() is not None:  # the first process speaks, and tells what started them
            return 0
        print(resume_hint(interrupted), file=sys.stderr)
        return interrupted.status
    return 0


def _preview(config: Config, sources: LearningSources, count: int) -> None:
    from connectomics.data.preview import write_preview
    from connectomics.runs.training_job import build_data

    path = Path(config.save_path or "") / "preview.png"
    write_preview(build_data(config, sources), count, path)
    print(f"{count} training patches, as they are and after each augmentation: {path}")


def _predict(mode: str, configs: Mapping[str, Config], args: argparse.Namespace) -> int:
    """Run test, tune or predict mode."""
    section, key = _volumes_of(mode, configs)
    stage = "tune" if mode == "tune" else "test"
    config = configs[stage]
    if "save_path" in overridden(args.overrides):
        raise ConfigError(
            f"save_path is where trainings go; --mode {mode} writes into the run of its checkpoint, or into --out DIR"
        )
    if mode == "predict":
        _require_images(section)
    need_label = mode == "tune" or config.evaluation.enabled
    volumes = open_labelled(section, key, config.model.in_channels, need_label)  # before torch: a slip is told at once
    checkpoints = [find_checkpoint(path) for path in args.checkpoints]
    from connectomics.runs.assemble import check_deciding, check_names
    from connectomics.runs.job import build_job
    from connectomics.runs.shares import Share, assemble, predict_share
    from connectomics.runs.test import test
    from connectomics.runs.trial import try_volumes
    from connectomics.runs.tune import tune

    quiet_libraries()
    check_names(configs)
    if mode == "tune":
        check_deciding(config)
    job = build_job(stage, config, checkpoints, volumes, section, args.out, args.restart, args.fast_dev_run)
    try:
        if args.fast_dev_run:
            try_volumes(job, args.fast_dev_run)
        elif args.shard is not None:
            predict_share(job, Share(*args.shard))
        elif args.assemble:
            assemble(job)
        else:
            (tune if mode == "tune" else test)(job)
    except KeyboardInterrupt as stop:
        kept = "; what was predicted is kept, and the same command goes on from there"
        print(describe_stop(stop, kept), file=sys.stderr)
        return status_of(stop)
    return 0


def _require_images(section: VolumesConfig) -> None:
    if not section.image:
        raise ConfigError("nothing to predict: name one or more images, on the command line or in data.test.image")


def _volumes_of(mode: str, configs: Mapping[str, Config]) -> tuple[VolumesConfig, str]:
    """Return the section that names the volumes of test, predict or tune mode, and its key.

    Tune mode has volumes of its own, else those that training validates on.
    """
    if mode != "tune":
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


def _init(args: argparse.Namespace) -> int:
    resolution = None if args.resolution is None else (args.resolution[0], args.resolution[1], args.resolution[2])
    images, labels, masks = tuple(args.init), tuple(args.label), tuple(args.mask)
    wish = Wish(images, labels, masks, resolution, args.out, args.hours)
    volumes = open_wished(wish)
    from connectomics.runs.make_settings import make_settings

    make_settings(wish, volumes)
    return 0


MODES: Mapping[str, Callable[[Mapping[str, Config], argparse.Namespace], int]] = {
    "train": _train,
    "tune": partial(_predict, "tune"),
    "test": partial(_predict, "test"),
    "predict": partial(_predict, "predict"),
    "demo": _demo,
}
"""`--mode` to what runs it; each imports torch only when it is called."""
