"""Sections as PNG, JPEG and BMP."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import imagecodecs
import numpy as np
import numpy.typing as npt
from PIL.BmpImagePlugin import BmpImageFile
from PIL.ImageFile import ImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile

from connectomics.errors import VolumeError
from connectomics.volumes.colour import TO_GREY, as_grey
from connectomics.volumes.damage import DAMAGE, describe_error, require_regular
from connectomics.volumes.look import Look
from connectomics.volumes.source import Role
from connectomics.volumes.unpacked import MOST_SHRUNK

RASTERS: Mapping[str, tuple[str, Callable[..., ImageFile]]] = {
    ".png": ("PNG", PngImageFile),
    ".jpg": ("JPEG", JpegImageFile),
    ".jpeg": ("JPEG", JpegImageFile),
    ".bmp": ("BMP", BmpImageFile),
}
"""Suffix of a file to the name of its format and what opens it."""

COLOURS = ("LA", "RGB", "RGBA")


def look_at_raster(path: Path, role: Role) -> Look:
    """Return what the header of a section says.

    Raises:
        VolumeError: If it is damaged, or of a kind that holds no grey values or ids.
    """
    with _opened(path) as image:
        named = RASTERS[path.suffix.lower()][0]
        if named == "JPEG" and role != "image":
            raise VolumeError(f"{path} is a JPEG, which blurs the ids of a {role}; save it as PNG")
        if image.mode not in ("1", "L", "P", "I;16", *COLOURS):
            raise VolumeError(f"{path} holds pixels of the kind {image.mode}; {TO_GREY}")
        x, y = image.size
        dtype = np.dtype(bool if image.mode == "1" else np.uint16 if _bits(image) == 16 else np.uint8)
        pixels = y * x * dtype.itemsize * len(image.getbands())
        if pixels > MOST_SHRUNK * path.stat().st_size:
            raise VolumeError(f"{path} is damaged: it states {y} x {x} pixels, more than so small a file can hold")
        remark = "it has a palette; the numbers of its colours are taken as ids" if image.mode == "P" else ""
        return Look((y, x), dtype, remark if role != "image" else "")


def read_raster(path: Path, role: Role) -> npt.NDArray:
    """Return the grey values or ids of a section, (Y, X).

    Raises:
        VolumeError: If it is damaged, in colour, or transparent.
    """
    if path.suffix.lower() == ".png":
        with _opened(path) as image:
            image.verify()  # the check sums, which are not looked at where pixels are decoded
    with _opened(path) as image:
        bits, mode = _bits(image), image.mode
        if bits == 16 and mode in COLOURS:  # of which Pillow keeps 8
            return as_grey(imagecodecs.png_decode(path.read_bytes()), -1, str(path), role)
        if mode == "P" and role == "image":
            image.load()
            palette = np.asarray(image.getpalette("RGB"), np.uint8).reshape(-1, 3)
            numbers = np.asarray(image)
            if int(numbers.max()) >= len(palette):
                raise VolumeError(
                    f"{path} is damaged: a pixel has colour {numbers.max()} of a palette of {len(palette)}"
                )
            return as_grey(palette[numbers], -1, str(path), role)
        pixels = np.asarray(image)
    if mode in COLOURS:
        return as_grey(pixels, -1, str(path), role)
    return pixels // (255 // (2**bits - 1)) if bits in (2, 4) and mode == "L" else pixels


def _bits(image: ImageFile) -> int:
    """Return how many bits a number in the file has, where Pillow widens or cuts it; else 8."""
    form = str(image.tile[0].args) if image.tile else ""
    return next((bits for bits in (16, 4, 2) if f";{bits}" in form), 8)


@contextmanager
def _opened(path: Path) -> Iterator[ImageFile]:
    """Open a section; what Pillow says inside the context of a damaged one is told.

    The format's own class opens it, which guesses no format and has no limit of pixels of its own.
    """
    require_regular(path)
    named, opens = RASTERS[path.suffix.lower()]
    try:
        with warnings.catch_warnings(), path.open("rb") as file, opens(file) as image:
            warnings.simplefilter("ignore")
            yield image
    except (*DAMAGE, imagecodecs.PngError) as error:
        raise VolumeError(f"{path} cannot be read as {named}: {describe_error(error)}") from error
