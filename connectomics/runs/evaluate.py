"""`scripts/evaluate.py`: score predictions that any tool made; needs no checkpoint and no torch."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence
from typing import Any

import connectomics
from connectomics.errors import UserError, printable
from connectomics.files import user_path, write_text
from connectomics.lookup import pick
from connectomics.metrics import METRICS, mean_over_volumes, score_volume, with_counts
from connectomics.metrics.matching import MatchRule
from connectomics.reports.scores import print_scores
from connectomics.runs.scored_files import Reading, pair_files
from connectomics.screen.console import console, say
from connectomics.volumes.labelled import name_volumes

USUAL_METRICS = tuple(with_counts(["cremi_distance", "jaccard", "dice", "precision", "recall"]))

EPILOG = """\
A prediction holds probabilities (0 to 1; or whole numbers with an attribute `scale`, or --scale), or a mask or ids,
where everything but the background is a synapse. HDF5 (file.h5, file.h5:/dataset), the CREMI layout, Zarr, TIFF,
sections as PNG (a folder, or 'sections/*.png'), NumPy, NIfTI, MRC.

examples:
  evaluate.py prediction.h5 syn_A.h5
  evaluate.py submission_A.hdf sample_A_20160501.hdf --json scores.json
  evaluate.py a.tif syn_A.h5 b.tif syn_B.h5 --resolution 40 4 4 --threshold 0.4
"""


def evaluate(argv: Sequence[str] | None = None, prog: str = "evaluate.py") -> int:
    """Score every pair of files, and return the exit status: 2 when one of them could not be scored."""
    args = parse_args(argv, prog)
    try:
        for name in args.metrics:
            pick(METRICS, name, "--metrics")
        predictions, labels = args.files[::2], args.files[1::2]
        masks = args.mask or [None] * len(labels)
        names = name_volumes(predictions)
        scores, failed = _score_all(list(zip(names, predictions, labels, masks, strict=True)), args)
        whole = {"volumes": scores, "mean": _mean(scores, failed), "stamp": _stamp(args)}
        if scores:
            print_scores(console(), whole)
        if scores and args.json:
            write_text(args.json, json.dumps(whole, indent=2, allow_nan=False) + "\n")
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    for name, reason in failed.items():
        print(printable(f"error: {name}: {reason}"), file=sys.stderr)
    return 2 if failed else 0


def parse_args(argv: Sequence[str] | None = None, prog: str = "evaluate.py") -> argparse.Namespace:
    """Parse the command line; a wrong one ends with status 2."""
    parser = argparse.ArgumentParser(
        prog=prog, epilog=EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter,
        description="Score predictions of synapses against their labels, as the CREMI challenge does.",
    )  # fmt: skip
    parser.add_argument("files", nargs="+", metavar="PREDICTION LABEL", help="one or more pairs of files")
    parser.add_argument("--json", type=user_path, metavar="FILE", help="write the scores, in the form of metrics.json")
    parser.add_argument("--threshold", type=float, metavar="T", help="from which probability on; default: 0.5")
    parser.add_argument(
        "--scale",
        type=float,
        metavar="S",
        help="what a probability of 1 is stored as, such as 255, in a file that does not state it",
    )
    parser.add_argument("--channel", type=int, metavar="C", help="of a prediction with several, from 0")  # fmt: skip
    parser.add_argument("--mask", nargs="+", metavar="FILE", help="voxels that count are not 0; one file for each pair")
    parser.add_argument("--resolution", type=float, nargs=3, metavar=("Z", "Y", "X"),
                        help="voxel size in nm, for files that do not state it")  # fmt: skip
    parser.add_argument("--metrics", nargs="+", default=list(USUAL_METRICS), metavar="NAME",
                        help=f"among {', '.join(METRICS)}")  # fmt: skip
    _add_rule(parser)
    args = parser.parse_args(argv)
    if len(args.files) % 2:
        parser.error(f"files come in pairs, PREDICTION LABEL; {len(args.files)} were given")
    if args.mask and len(args.mask) != len(args.files) // 2:
        parser.error(
            f"--mask names {len(args.mask)} file(s); it takes one for each of the {len(args.files) // 2} pairs"
        )
    if args.threshold is not None and not 0 < args.threshold < 1:
        parser.error(f"--threshold is {args.threshold}; it must be between 0 and 1")
    if args.scale is not None and not 0 < args.scale < float("inf"):
        parser.error(f"--scale is {args.scale}; it must be more than 0")
    if args.resolution is not None and min(args.resolution) <= 0:
        parser.error(f"--resolution is {args.resolution}; each voxel size must be more than 0")
    for option, share in (("--min-iou", args.min_iou), ("--strict-iou", args.strict_iou)):
        if not 0 < share <= 1:
            parser.error(f"{option} is {share}; it must be more than 0, at most 1")
    return args


def _add_rule(parser: argparse.ArgumentParser) -> None:
    """Add the options that say when two synapses are the same one."""
    parser.add_argument("--min-iou", type=float, default=0.3, metavar="SHARE",
                        help="from which a detected synapse is found, not poorly outlined; default: 0.3")  # fmt: skip
    parser.add_argument("--strict-iou", type=float, default=0.5, metavar="SHARE",
                        help="of synapses that synapse_f1 and polarity_f1 match; default: 0.5")  # fmt: skip
    parser.add_argument("--max-distance-nm", type=float, metavar="NM", help="or of the centres of matched synapses")
    parser.add_argument("--connectivity", type=int, choices=(6, 18, 26), default=26, help="of a synapse; default: 26")


def _score_all(
    pairs: Sequence[tuple[str, str, str, str | None]], args: argparse.Namespace
) -> tuple[dict[str, dict[str, Any]], dict[str, str]]:
    """Return the scores of every pair that can be compared, and why the others cannot."""
    rule = MatchRule(args.min_iou, args.strict_iou, args.max_distance_nm, args.connectivity)
    spacing = tuple(args.resolution) if args.resolution else None
    needs_sides = any(METRICS[name].needs_sides for name in args.metrics)
    reading = Reading(args.threshold, args.channel, spacing, needs_sides, args.scale)
    told: set[str] = set()
    scores: dict[str, dict[str, Any]] = {}
    failed: dict[str, str] = {}
    for name, prediction, label, mask in pairs:
        try:
            files = pair_files(prediction, label, mask, reading)
            for note in files.notes:
                if note not in told:
                    say(note)
            told.update(files.notes)
            scores[name] = score_volume(files.pair, args.metrics, rule)
        except UserError as error:
            failed[name] = str(error)
    return scores, failed


def _mean(scores: dict[str, dict[str, Any]], failed: dict[str, str]) -> dict[str, Any]:
    """Average the volumes; if one of them has no scores, there is no mean that could be compared."""
    means = mean_over_volumes(scores)
    if not failed:
        return means
    reason = f"no score for {', '.join(failed)}"
    undefined = [name for name in means if not name.endswith("_undefined")]
    return {key: value for name in undefined for key, value in ((name, None), (f"{name}_undefined", reason))}


def _stamp(args: argparse.Namespace) -> dict[str, Any]:
    """Return what the scores depend on."""
    return {
        "connectomics": connectomics.__version__,
        "created": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        "files": args.files,
        "mask": args.mask,
        "threshold": args.threshold,
        "scale": args.scale,
        "channel": args.channel,
        "resolution": args.resolution,
        "evaluation": {"min_iou": args.min_iou, "strict_iou": args.strict_iou,
                       "max_distance_nm": args.max_distance_nm, "connectivity": args.connectivity},
    }  # fmt: skip
