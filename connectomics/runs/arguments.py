"""What the command line takes, and which of it goes together."""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Sequence
from pathlib import Path

import connectomics
from connectomics.config import STAGES
from connectomics.config.overrides import Assignment
from connectomics.files import is_url, user_path
from connectomics.runs.demos import DEMOS, USUAL

MODE_NAMES = ("train", "tune", "test", "predict")
"""Choices of `--mode`."""

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
  main.py --init my_em.h5 --label my_clefts.h5 --out my.yaml             plan a training for one's own data
  main.py --mode predict --checkpoint RUN/checkpoints/last.ckpt my_em.h5 --out found    find synapses; no label needed
  main.py --mode predict --checkpoint A.ckpt B.ckpt C.ckpt --out found my_em.h5           with three networks together
  main.py --mode predict --checkpoint RUN/checkpoints/last.ckpt my_em.h5 --out found --shard 0/3    one of 3 processes
"""

SETTING = re.compile(r"[+~]*[A-Za-z_][\w.]*=")
"""How a setting begins, as opposed to the name of an image."""


def parse_args(argv: Sequence[str] | None = None, prog: str = "main.py") -> argparse.Namespace:
    """Parse the command line; a wrong one ends with status 2."""
    parser = _build_parser(prog)
    args = parser.parse_intermixed_args(argv)
    args.images = []
    args.checkpoints, others = _part(args.checkpoints)
    given = list(sys.argv[1:] if argv is None else argv)
    args.overrides = sorted([*args.overrides, *others], key=given.index)  # of two that name one setting the later wins
    if args.mode == "predict":
        args.images = [text for text in args.overrides if not SETTING.match(text)]
        args.overrides = [text for text in args.overrides if SETTING.match(text)]
    if args.demo is not None and "=" in args.demo:  # a setting that follows the bare flag
        args.overrides.insert(0, args.demo)
        args.demo = USUAL
    _require_consistent(parser, args)
    if args.mode == "train" and len(args.checkpoints) > 1:
        parser.error("--checkpoint names several networks, which predict together; a training goes on from one")
    return args


def _part(checkpoints: Sequence[str]) -> tuple[list[Path], list[str]]:
    """Return the checkpoints among what follows `--checkpoint`, and what is none of them."""
    networks = [text for i, text in enumerate(checkpoints) if i == 0 or _is_network(text)]
    others = [text for i, text in enumerate(checkpoints) if i > 0 and not _is_network(text)]
    return [user_path(text) for text in networks], others


def _is_network(text: str) -> bool:
    """Return whether this is a checkpoint, or the folder of a run, and no image and no setting."""
    return not SETTING.match(text) and (text.endswith(".ckpt") or (user_path(text) / "checkpoints").is_dir())


def _build_parser(prog: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=prog, epilog=EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False,
        description="Train a network to find synapses in volume EM, predict whole volumes, score them as CREMI does.",
    )  # fmt: skip
    source = parser.add_mutually_exclusive_group()
    source.add_argument(
        "--config", type=user_path, metavar="FILE", help="YAML file of settings; predict: else those of the checkpoint"
    )
    source.add_argument(
        "--demo", nargs="?", const=USUAL, metavar="NAME",
        help=f"train and test on a synthetic phantom; needs no data; one of {', '.join(DEMOS)}, default: {USUAL}",
    )  # fmt: skip
    source.add_argument("--init", nargs="+", metavar="IMAGE", help="look at your volumes and machine, write settings")
    parser.add_argument("--mode", choices=MODE_NAMES, default="train", help="default: train")
    _add_checkpoint(parser)
    parser.add_argument(
        "--resume", choices=["auto"], help="train: go on from the newest checkpoint of the experiment, or begin"
    )
    parser.add_argument("--tuned", type=user_path, metavar="FILE", help="test, predict: what --mode tune wrote")
    parser.add_argument(
        "--out", type=user_path, metavar="DIR", help="where results go, instead of RUN/results; init: the file"
    )
    parser.add_argument(
        "--restart", action="store_true", help="all but train: drop unfinished predictions that other settings began"
    )
    parser.add_argument("--fast-dev-run", type=_count, default=0, metavar="N", help="try N batches, write nothing")
    parser.add_argument("--preview", type=_count, default=0, metavar="N", help="draw N augmented patches and exit")
    parser.add_argument("--print-config", action="store_true", help="print the folded settings and exit")
    parser.add_argument("--version", action="version", version=connectomics.__version__)
    _add_shares(parser)
    _add_init(parser)
    parser.add_argument(
        "overrides", nargs="*", metavar="key=value", help="settings, such as system.num_gpus=4; predict: images as well"
    )
    return parser


def _add_checkpoint(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--checkpoint",
        nargs="+",
        default=[],
        metavar="FILE",
        dest="checkpoints",
        help="train: go on from it; else: what predicts; several: the mean of their probabilities",
    )


def _add_shares(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--shard",
        type=_shard,
        metavar="I/N",
        help="test, predict: be process I (0, 1 ...) of N that share volumes",
    )
    parser.add_argument("--assemble", action="store_true", help="test, predict: write the results of finished shards")


def _add_init(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--label", nargs="+", default=[], metavar="LABEL", help="init: labels of the first images")
    parser.add_argument("--mask", nargs="+", default=[], metavar="MASK", help="init: what of them is annotated")
    parser.add_argument(
        "--resolution",
        nargs=3,
        type=float,
        metavar=("Z", "Y", "X"),
        help="init: voxel size in nm, if files do not say",
    )
    parser.add_argument("--hours", type=float, metavar="H", help="init: how long the training may take")


def _require_consistent(parser: argparse.ArgumentParser, args: argparse.Namespace) -> None:
    """End with status 2 where arguments do not go together."""
    if args.init is None and (args.label or args.mask or args.resolution or args.hours):
        parser.error("--label, --mask, --resolution and --hours go with --init")
    if args.init is not None and (args.mode != "train" or args.checkpoints or args.overrides or args.restart):
        parser.error("--init looks at images; with it go --label, --mask, --resolution, --hours and --out")
    if (
        args.config is None
        and args.demo is None
        and args.init is None
        and (args.mode != "predict" or not args.checkpoints)
    ):
        parser.error("one of --config, --demo and --init is needed; --mode predict also does with --checkpoint alone")
    if args.demo is not None and (args.mode != "train" or args.checkpoints or args.fast_dev_run or args.preview):
        parser.error("--demo trains and tests by itself; with it go only settings (key=value) and --print-config")
    if args.tuned and (args.demo is not None or args.mode not in ("test", "predict")):
        parser.error("--tuned gives a threshold and a minimum size; it goes with --mode test and --mode predict")
    if (args.out or args.restart) and args.init is None and (args.demo is not None or args.mode == "train"):
        parser.error("--out and --restart are about predictions; they go with every mode but train")
    if args.resume and (args.demo is not None or args.mode != "train" or args.checkpoints or args.preview):
        parser.error("--resume auto finds the checkpoint that a training goes on from; it goes with --mode train alone")
    shares = args.shard is not None or args.assemble
    if shares and (args.demo is not None or args.mode not in ("test", "predict") or args.fast_dev_run):
        parser.error("--shard and --assemble go with --mode test and --mode predict")
    if shares and args.out is None and args.checkpoints and not _lies_in_run(args.checkpoints[0]):
        parser.error("--shard and --assemble need --out DIR, one for all processes, as the checkpoint lies in no run")
    if args.shard is not None and args.assemble:
        parser.error("--assemble writes what the processes of --shard have predicted; give one of them")
    if args.preview and args.mode != "train":
        parser.error("--preview draws training patches; it goes with --mode train")


def _lies_in_run(checkpoint: Path) -> bool:
    return checkpoint.is_dir() or checkpoint.parent.name == "checkpoints"


def _shard(text: str) -> tuple[int, int]:
    number, _, of = text.partition("/")
    if not (number.isdigit() and of.isdigit() and int(number) < int(of)):
        raise argparse.ArgumentTypeError(f"{text!r} is no share; of three processes they are 0/3, 1/3 and 2/3")
    return int(number), int(of)


def _count(text: str) -> int:
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a count, such as 2")
    return int(text)


def overridden(overrides: Sequence[str]) -> list[str]:
    """Return the keys that overrides name, without the mode that some of them begin with."""
    stages = "|".join(("default", *STAGES))
    return [re.sub(rf"^({stages})\.", "", text.partition("=")[0]) for text in overrides]


def settings_for(images: Sequence[str], has_file: bool = False) -> list[Assignment]:
    """Return the settings of predict mode: no label is asked for, and images that are named are taken whole.

    Their voxel size is what they state, or `data.test.resolution` on the command line. Where none is named, a file of
    settings may name some (`has_file`); those that a checkpoint was trained beside are never meant.
    """
    unlabelled: list[Assignment] = [
        (["evaluation", "enabled"], False), (["data", "test", "label"], []), (["data", "test", "mask"], []),
    ]  # fmt: skip
    if not images and has_file:
        return unlabelled
    named = {
        "image": [image if is_url(image) else str(user_path(image)) for image in images],
        "crop": None,
        "resolution": None,
    }
    return unlabelled + [(["data", "test", name], value) for name, value in named.items()]
