"""The command line of `scripts/cremi.py`: parse, dispatch; only the user's slips lose their traceback."""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from connectomics.errors import UserError
from connectomics.files import user_path
from connectomics.geometry import Box

EPILOG = """\
examples:
  cremi.py download --trust-first            the padded training and test volumes, into datasets/
  cremi.py download corrected --trust-first  volumes that others aligned, without masks, into datasets/corrected/
  cremi.py prepare datasets/sample_*_padded_*.hdf          aligned, into datasets/corrected/
  cremi.py submit outputs/.../results/test_im_?+_prediction.h5 --tuned outputs/.../results/tuned.yaml
"""

DATASETS = Path("datasets")


def main(argv: Sequence[str] | None = None, prog: str = "cremi.py") -> int:
    """Run one command, and return the exit status."""
    args = parse_args(argv, prog)
    try:
        COMMANDS[args.command](args)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        return 128 + signal.SIGINT
    return 0


def parse_args(argv: Sequence[str] | None = None, prog: str = "cremi.py") -> argparse.Namespace:
    """Parse the command line; a wrong one ends with status 2."""
    parser = argparse.ArgumentParser(
        prog=prog, description="From the CREMI challenge's files to a submission.", epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    _add_download(commands.add_parser("download", help="fetch the challenge's files, and verify them"))
    _add_prepare(commands.add_parser("prepare", help="align the sections, and write image, label and mask"))
    _add_submit(commands.add_parser("submit", help="turn predictions into what the challenge reads"))
    return parser.parse_args(argv)


def _add_download(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("what", nargs="*", metavar="SET|FILE",
                        help="train, test (the default: both), corrected, em_r50, or the name of a file")  # fmt: skip
    parser.add_argument("--out", type=user_path, default=DATASETS, metavar="DIR", help="default: %(default)s")
    parser.add_argument("--url", metavar="URL", help="a mirror: what the names are appended to")
    parser.add_argument("--trust-first", action="store_true",
                        help="take files that neither a known digest nor a certificate vouches for; their digest is "
                             "recorded, and later downloads must have it")  # fmt: skip


def _add_prepare(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("files", nargs="+", metavar="FILE", help="padded volumes (.hdf), or any image")
    parser.add_argument(
        "--out", type=user_path, default=DATASETS / "corrected", metavar="DIR", help="default: %(default)s"
    )
    parser.add_argument("--margin", type=_count, nargs=3, default=(14, 256, 256), metavar=("Z", "Y", "X"),
                        help="voxels around the labelled box; default: 14 256 256")  # fmt: skip
    how = parser.add_mutually_exclusive_group()
    how.add_argument("--shifts", type=user_path, metavar="FILE",
                     help="a table instead of the estimate: z,y,x[,shown] as comma-separated values, or an "
                          "im_*.h5; y and x are how many pixels the section's tissue lies down and right")  # fmt: skip
    how.add_argument("--no-align", action="store_true", help="keep the sections as they are")
    parser.add_argument("--box", type=_count, nargs=6, metavar=("Z", "Y", "X", "DEPTH", "HEIGHT", "WIDTH"),
                        help="the labelled voxels of volumes without labels; default: 125 x 1250 x 1250 from voxel "
                             "37 911 911 on in padded volumes, all voxels in others")  # fmt: skip
    parser.add_argument("--resolution", type=_length, nargs=3, metavar=("Z", "Y", "X"),
                        help="voxel size in nm, where a file does not state it")  # fmt: skip


def _add_submit(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "predictions", nargs="+", type=user_path, metavar="PREDICTION", help="test_im_A+_prediction.h5 ..."
    )
    parser.add_argument("--out", type=user_path, default=Path("submission"), metavar="DIR", help="default: %(default)s")
    parser.add_argument("--prepared", type=user_path, metavar="DIR",
                        help="where the im_*.h5 lie; default: where they lay when they were predicted")  # fmt: skip
    parser.add_argument(
        "--tuned", type=user_path, metavar="FILE", help="settings that tuning chose: decoding.threshold, ..."
    )
    parser.add_argument("--threshold", type=_share, metavar="P", help="from which probability on; default: 0.5")
    parser.add_argument("--min-size", type=_count, metavar="N", help="drop components of fewer voxels; default: 0")


def _count(text: str) -> int:
    if not text.isdigit():
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number, 0 or more")
    return int(text)


def _length(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is not a length in nm")
    return value


def _share(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a probability between 0 and 1")
    return value


def _download(args: argparse.Namespace) -> None:
    from connectomics.runs.cremi.download import download

    download(args.what, args.out, args.url, args.trust_first)


def _prepare(args: argparse.Namespace) -> None:
    from connectomics.runs.cremi.prepare import PrepareOptions, prepare

    box = None if args.box is None else Box.at(args.box[:3], args.box[3:])
    spacing = None if args.resolution is None else tuple(args.resolution)
    prepare(args.files, PrepareOptions(args.out, tuple(args.margin), args.shifts, args.no_align, box, spacing))


def _submit(args: argparse.Namespace) -> None:
    from connectomics.runs.cremi.submit import choose, submit

    submit(args.predictions, args.out, choose(args.tuned, args.threshold, args.min_size), args.prepared)


COMMANDS: Mapping[str, Callable[[argparse.Namespace], None]] = {
    "download": _download,
    "prepare": _prepare,
    "submit": _submit,
}
"""The commands; each imports what is heavy only when it is called."""
