"""A single section as TIFF."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import tifffile

from connectomics.errors import VolumeError
from connectomics.volumes.colour import as_grey
from connectomics.volumes.damage import told_as_damage
from connectomics.volumes.look import Look
from connectomics.volumes.source import Role
from connectomics.volumes.tiff_pages import has_colours, open_tiff, require_held, tell_numbers


def look_at_tiff(path: Path, role: Role) -> Look:
    """Return what the header of a section says.

    Raises:
        VolumeError: If the file is damaged, or holds more than one section.
    """
    with open_tiff(path) as file, told_as_damage(f"{path} is damaged"):
        page = _only_page(file, path)
        remark = tell_numbers(page) if role == "image" else ""
        y, x = (n for n, axis in zip(page.shape, page.axes, strict=True) if axis in "YX")
        return Look((y, x), _native(page), remark)


def read_tiff(path: Path, role: Role) -> npt.NDArray:
    """Return the grey values or ids of a section, (Y, X).

    Raises:
        VolumeError: If it is damaged or in colour.
    """
    with open_tiff(path) as file, told_as_damage(f"{path} is damaged"):
        page = _only_page(file, path)
        pixels = page.asarray()
        if pixels.shape != page.shape:
            raise VolumeError(f"{path} is damaged: it states {page.shape} pixels and holds {pixels.shape}")
        grey = as_grey(pixels, page.axes.index("S"), str(path), role) if "S" in page.axes else pixels
        return grey.astype(_native(page), copy=False)


def _native(page: tifffile.TiffPage) -> np.dtype:
    """Return the type of the pixels, in the byte order of this machine."""
    if page.dtype is None:
        raise VolumeError(f"its pixels have {page.bitspersample} bits, of a kind that is not read")
    return np.dtype(page.dtype).newbyteorder("=")


def _only_page(file: tifffile.TiffFile, path: Path) -> tifffile.TiffPage:
    page = file.pages.first
    if len(file.pages) > 1 or page.axes not in ("YX", "YXS", "SYX"):
        raise VolumeError(f"{path} has {len(file.pages)} pages, axes {page.axes}, shape {page.shape}; in a folder "
                          "each file is one section")  # fmt: skip
    require_held(page, sum(page.databytecounts), path)
    if "S" in page.axes and not has_colours(page):
        raise VolumeError(
            f"{path} has {page.samplesperpixel} numbers in each pixel, which are no colours; save one of them"
        )
    return page
