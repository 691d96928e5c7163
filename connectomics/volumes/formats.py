"""Formats that are not read, and what to do with each."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from connectomics.errors import VolumeError

SEQUENCE = "save all sections as one TIFF stack (Fiji: File > Import > Image Sequence, then Save As > Tiff)"

FOREIGN: Mapping[str, tuple[str, str]] = {
    ".png": ("a PNG", SEQUENCE),
    ".jpg": ("a JPEG", SEQUENCE),
    ".n5": ("an N5 container", "copy its dataset into a Zarr or HDF5 file (z5py, or zarr < 3: zarr.copy)"),
    ".nii": ("a NIfTI file", "nibabel.load(...).get_fdata().T is (z, y, x); write that with h5py as dataset main"),
    ".gz": ("compressed", "unpack it; of NIfTI, nibabel.load(...).get_fdata().T is (z, y, x): write that with h5py"),
    ".mrc": ("an MRC file", "write mrcfile.open(...).data, (z, y, x), with h5py as dataset main"),
    ".npy": ("a NumPy array", "write numpy.load(...), (z, y, x), with h5py as dataset main"),
    ".zip": ("an archive", "unpack it"),
}  # fmt: skip
"""Suffix of a file to what the file is and how it becomes a volume."""

FOREIGN_ALIASES: Mapping[str, str] = {".jpeg": ".jpg", ".rec": ".mrc", ".map": ".mrc"}

PRECOMPUTED = (
    "a Neuroglancer precomputed volume",
    "read it with cloudvolume or tensorstore, whose axes are (x, y, z), and write it with h5py as (z, y, x)",
)


def refuse_other_formats(path: Path) -> None:
    """Refuse what is known not to be read, a folder of it too.

    Raises:
        VolumeError: With what it is and how to convert it.
    """
    kind = _kind(path)
    if kind is not None:
        what, remedy = kind
        named = f"{path}:" if path.is_dir() else f"{path}: unknown format {path.suffix!r}:"
        raise VolumeError(f"{named} it is {what}, which is not read: {remedy}")


def _kind(path: Path) -> tuple[str, str] | None:
    suffix = FOREIGN_ALIASES.get(path.suffix.lower(), path.suffix.lower())
    if not path.is_dir():
        return FOREIGN.get(suffix)
    if suffix == ".n5" or _says(path / "attributes.json", "n5", "dimensions"):
        return FOREIGN[".n5"]
    if _says(path / "info", "scales"):
        return PRECOMPUTED
    suffixes = {file.suffix.lower() for file in path.iterdir()}
    if {".tif", ".tiff"} & suffixes:
        return None
    for inner in (".png", ".jpg", ".jpeg"):
        if inner in suffixes:
            what, remedy = FOREIGN[FOREIGN_ALIASES.get(inner, inner)]
            return f"a folder of {what.removeprefix('a ')} sections", remedy
    return None


def _says(note: Path, *keys: str) -> bool:
    """Return whether a JSON file is there and has one of some keys."""
    if not note.is_file():
        return False
    try:
        content = json.loads(note.read_bytes())
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(content, dict) and any(key in content for key in keys)
