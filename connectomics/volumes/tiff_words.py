"""What a TIFF states: the voxel size, OME's or ImageJ's, and what an export of this package carries."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from xml.etree import ElementTree

import tifffile

from connectomics.volumes.stated import Stated
from connectomics.volumes.units import as_spacing, nanometres_of

DIGITS = range(3, 8)
"""Digits that a pixel's length is tried with, since a TIFF stores it as rounded pixels per unit: the shortest length
that gives these pixels is meant."""

PRECISE = 10_000
"""Least number of pixels, in the stored fraction, for the rounding to be recognisable."""

SCALE = "probability_scale"
"""Word under which an export states what a probability of 1 is stored as."""


def read_carried(file: tifffile.TiffFile) -> dict[str, float]:
    """Return the attribute `scale` of a prediction that was exported as TIFF; empty for any other file."""
    value: Any = (file.imagej_metadata or {}).get(SCALE)
    if file.ome_metadata:
        value = _annotated(file.ome_metadata, SCALE)
    try:
        return {} if value is None else {"scale": float(value)}
    except (TypeError, ValueError):
        return {}


def _annotated(xml: str, key: str) -> str | None:
    """Return the value of a key of OME's map annotations."""
    try:
        root = ElementTree.fromstring(xml)
    except (ElementTree.ParseError, ValueError):
        return None
    return next(
        (node.text for node in root.iter() if node.tag.rpartition("}")[2] == "M" and node.get("K") == key), None
    )


def read_words(file: tifffile.TiffFile) -> Stated:
    """Return the voxel size of a TIFF, by the order that `stated` tells.

    Raises:
        VolumeError: If it is in a unit that nobody knows.
    """
    location = str(file.filehandle.path)
    if file.ome_metadata:
        return _of_ome(file.ome_metadata, location)
    words = file.imagej_metadata or next(iter(file.shaped_metadata or ()), None)
    return Stated() if not words else _of_imagej(words, file.pages.first, location)


def _of_ome(xml: str, location: str) -> Stated:
    try:
        root = ElementTree.fromstring(xml)
    except (ElementTree.ParseError, ValueError):
        return Stated(notes=("its OME metadata cannot be read, and states no voxel size",))
    pixels = next((node for node in root.iter() if node.tag.rpartition("}")[2] == "Pixels"), None)
    if pixels is None:
        return Stated()
    sizes: list[float | None] = []
    for axis in "ZYX":
        text, unit = pixels.get(f"PhysicalSize{axis}"), pixels.get(f"PhysicalSize{axis}Unit", "µm")
        factor = None if text is None else nanometres_of(unit, location)
        sizes.append(None if text is None or factor is None else float(text) * factor)
    return _whole(sizes, "OME metadata")


def _of_imagej(words: Mapping[str, Any], page: tifffile.TiffPage, location: str) -> Stated:
    if "unit" not in words:
        return Stated()
    factor = nanometres_of(words["unit"], location)
    if factor is None:
        return Stated()
    own = {axis: nanometres_of(words[f"{axis}unit"], location) if f"{axis}unit" in words else factor for axis in "yz"}
    depth, sizes = words.get("spacing"), dict.fromkeys("yx", None)
    for axis, tag in (("y", 283), ("x", 282)):
        sizes[axis] = _pixel(page.tags[tag].value) if tag in page.tags else None
    lengths = [depth, sizes["y"], sizes["x"]]
    factors = [own["z"], own["y"], factor]
    return _whole([None if n is None or f is None else float(n) * f for n, f in zip(lengths, factors, strict=True)],
                  "ImageJ's metadata")  # fmt: skip


def _whole(sizes: list[float | None], by: str) -> Stated:
    known = [size for size in sizes if size is not None and size > 0]
    if len(known) == 3:
        return Stated(as_spacing(known))
    if not known:
        return Stated()
    said = ", ".join(f"{axis} {size:g}" for axis, size in zip("zyx", sizes, strict=True) if size)
    return Stated(notes=(f"its {by} states a part of the voxel size only ({said} nm), which is not used",))


def _pixel(ratio: Any) -> float | None:
    """Return how long a pixel is, from the fraction of pixels in a unit that is stored."""
    pixels, units = ratio
    if not pixels or not units:
        return None
    exact = units / pixels
    if pixels < PRECISE:
        return exact
    shorter = (float(f"{exact:.{digits}g}") for digits in DIGITS)
    return next((length for length in shorter if abs(units / length - pixels) <= 0.5), exact)
