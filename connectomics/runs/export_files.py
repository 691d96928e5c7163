"""`scripts/export.py`: predictions, masks and ids as other programs read them; needs no checkpoint and no torch."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from connectomics.errors import UserError
from connectomics.files import user_path
from connectomics.geometry import Spacing
from connectomics.screen.console import say
from connectomics.volumes.exports import EXPORTS, export_path, export_volume
from connectomics.volumes.read import open_volume
from connectomics.volumes.source import Role

EPILOG = """\
  tiff         one file for Fiji and ImageJ, below 4 GB
  ome-tiff     one file of any size for Fiji (Bio-Formats), napari and QuPath
  ome-zarr     OME-Zarr 0.5 with coarser levels, for napari, Fiji, webKnossos and Neuroglancer
  precomputed  a folder with coarser levels, for Neuroglancer

Files are read a part at a time. Nothing that exists is replaced, unless --replace is given.

examples:
  {prog} RUN/results/test_im_prediction.h5 RUN/results/test_im_mask.h5 --as tiff
  {prog} RUN/results/*.h5 --as precomputed --out for_neuroglancer
  {prog} sample_A.hdf:/volumes/labels/clefts --as ome-zarr
"""


def export(argv: Sequence[str] | None = None, prog: str = "export.py") -> int:
    """Export every file, and return the exit status: 2 when one of them could not be exported."""
    args = _parse(argv, prog)
    spacing: Spacing | None = tuple(args.resolution) if args.resolution else None
    is_label = None if args.kind is None else args.kind == "label"
    role: Role = "label" if is_label else "image"
    try:
        targets = _targets(args)
        sources = [open_volume(file, role, spacing) for file in args.files]
        for source, target in zip(sources, targets, strict=True):
            for note in source.info.notes:
                say(f"{source.info.location}: {note}")
            written = export_volume(source, target, args.form, is_label, args.replace)
            what = (
                "ids"
                if written.is_label
                else "grey values or probabilities"
                if written.scale is None
                else "probabilities"
            )
            what += "" if written.scale is None else f" times {written.scale:g}"
            if written.may_be_ids and is_label is None:
                what += " (if these are ids, give --kind label)"
            say(f"{target}: {what}, {written.dtype}, {source.shape} voxels of {written.spacing_nm} nm")
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


def _targets(args: argparse.Namespace) -> list[Path]:
    """Return where each export goes, when nothing is in the way of any."""
    targets = [export_path(file, args.form, args.out) for file in args.files]
    for i, target in enumerate(targets):
        if target in targets[:i]:
            raise UserError(f"two files would both be exported to {target}; export them with an --out each")
        if target.exists() and not args.replace:
            raise UserError(f"{target} exists already; give another --out, or --replace")
    return targets


def _parse(argv: Sequence[str] | None, prog: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog=prog, epilog=EPILOG.format(prog=prog), formatter_class=argparse.RawDescriptionHelpFormatter,
        description="Write predictions, masks and ids as other programs read them.",
    )  # fmt: skip
    parser.add_argument("files", nargs="+", metavar="FILE", help="any volume that this package reads")
    parser.add_argument("--as", dest="form", required=True, choices=tuple(EXPORTS), help="the format; see below")
    parser.add_argument("--out", type=user_path, metavar="DIR", help="where exports go; default: beside their files")
    parser.add_argument("--kind", choices=("image", "label"), help="what the files hold; default: as they say")
    parser.add_argument("--resolution", type=float, nargs=3, metavar=("Z", "Y", "X"),
                        help="voxel size in nm, for files that do not state it")  # fmt: skip
    parser.add_argument("--replace", action="store_true", help="replace exports that are there")
    return parser.parse_args(argv)
