"""Formats that are not read, and what to do with each."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from connectomics.errors import VolumeError

FOREIGN: Mapping[str, tuple[str, str]] = {
    ".gz": ("compressed", "unpack it; of what is compressed as a whole, only NIfTI (.nii.gz) is read"),
    ".zip": ("an archive", "unpack it"),
    ".wkw": ("a file of webKnossos", "download the layer as OME-TIFF or OME-Zarr, or convert it (webknossos, on PyPI)"),
    ".nrrd": ("an NRRD file", "read it with pynrrd, whose axes are (x, y, z), and write it with h5py as (z, y, x)"),
    ".am": ("an Amira mesh", "export it from Amira as TIFF, one file or one for each section"),
    ".dm3": ("a DigitalMicrograph file", "open it in Fiji and save it as TIFF"),
    ".vsseg": ("a segmentation of VAST", "export it from VAST as an image stack"),
    ".mat": ("a MATLAB file", "one of version 7.3 is HDF5: rename it to .h5; its axes are reversed, (x, y, z)"),
    ".gif": ("a GIF", "save its sections as PNG or TIFF"),
    ".jp2": ("a JPEG 2000", "save it as PNG or TIFF"),
    ".webp": ("a WebP", "save it as PNG or TIFF"),
}  # fmt: skip
"""Suffix of a file to what the file is and how it becomes a volume."""

FOREIGN_ALIASES: Mapping[str, str] = {".dm4": ".dm3"}


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
    suffix = FOREIGN_ALIASES.get(suffix_of(path), suffix_of(path))
    if not path.is_dir():
        return FOREIGN.get(suffix)
    return None


def is_n5(path: Path) -> bool:
    """Return whether a folder is an N5 container."""
    return _says(path / "attributes.json", "n5", "dimensions")


def is_precomputed(path: Path) -> bool:
    """Return whether a folder is one of Neuroglancer's precomputed volumes."""
    return _says(path / "info", "scales")


def suffix_of(path: Path) -> str:
    """Return the suffix that says what a file is, in lower case; `.nii.gz` is one."""
    return ".nii.gz" if path.name.lower().endswith(".nii.gz") else path.suffix.lower()


def stem_of(path: Path) -> str:
    """Return the name of a file without that suffix."""
    return path.name[: len(path.name) - len(suffix_of(path))]


def _says(note: Path, *keys: str) -> bool:
    """Return whether a JSON file is there and has one of some keys."""
    if not note.is_file():
        return False
    try:
        content = json.loads(note.read_bytes())
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(content, dict) and any(key in content for key in keys)
