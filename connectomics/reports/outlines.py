"""Where objects, and the parts of each, lie in each section, as vector paths."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from connectomics.drawing.arrows import Point, place_arrow

Section = NDArray[np.bool_]
"""Foreground pixels of a section, bool, (Y, X)."""

UNITS = 4
"""Path units along the side of a voxel; a path runs a quarter of a voxel inside the border of its object."""

MAX_OUTLINES = 400
"""Most parts of objects that are traced in one section, largest first; a prediction may be noise."""

MAX_CHARACTERS = 100_000
"""Largest total length of the outlines of one volume in one section."""

TOLERANCE = 0.75
"""How far a path may leave the border of a large object, in voxels; for a small one it is less."""


@dataclass(frozen=True, slots=True)
class Outline:
    """One object, or one part of it, in one section."""

    id: int
    """Id of the object, from 1."""
    path: str
    """The `d` of an SVG path, with `UNITS` units per voxel."""
    part: int = 0
    """Which part of the object it is, from 0."""


@dataclass(frozen=True, slots=True)
class Arrow:
    """Where one object points in one section."""

    id: int
    """Id of the object, from 1."""
    path: str
    """The `d` of an SVG path, as in an outline."""


@dataclass(frozen=True, slots=True, eq=False)
class OutlinedObjects:
    """The objects of a volume; index 0 of every array is the background.

    Attributes:
        sections: For each section the outlines of its objects, or of their parts, the largest ones first.
        arrows: For each section, the arrows of the outlined objects that show their first and last part there.
        left_out: How many objects, or parts, of each section have no outline.
        voxels: Size of each part of each object, int64, (N + 1, parts).
        shared: How many voxels of an object another volume has an object at, int64, (N + 1,).
        peak: For each object, its section with the most voxels, and its centre there along (y, x), float64, (N + 1,
            3).
        peak_voxels: How many voxels it has there, int64, (N + 1,).
    """

    sections: tuple[tuple[Outline, ...], ...]
    arrows: tuple[tuple[Arrow, ...], ...]
    left_out: tuple[int, ...]
    voxels: NDArray[np.int64]
    shared: NDArray[np.int64]
    peak: NDArray[np.float64]
    peak_voxels: NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class _Pixels:
    """The pixels of a section that belong to something, (n,) each."""

    owner: NDArray[np.int64]
    """Id of the part that is outlined."""
    row: NDArray[np.intp]
    column: NDArray[np.intp]
    shared: NDArray[np.bool_]

    @classmethod
    def of(cls, section: NDArray[np.integer], other: Section) -> _Pixels:
        at = np.flatnonzero(section)
        row, column = np.divmod(at, section.shape[1])
        return cls(section.ravel()[at].astype(np.int64), row, column, other.ravel()[at])

    def count(self, ids: NDArray[np.int64], number: int) -> NDArray[np.int64]:
        return np.bincount(ids, minlength=number + 1)

    def middles(self, ids: NDArray[np.int64], here: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return the middle of each id along (y, x), (N + 1, 2); that of an id which is not there is 0."""
        sums = [np.bincount(ids, weights=weights, minlength=len(here)) for weights in (self.row, self.column)]
        return np.stack(sums, axis=1) / np.maximum(here, 1)[:, np.newaxis]


def outline_objects(
    ids: Iterable[NDArray[np.integer]], number: int, other: Iterable[Section], parts: int = 1
) -> OutlinedObjects:
    """Trace the objects of a volume.

    Args:
        ids: Sections (Y, X): object k is k; or, in several parts, its part p (from 0) is `parts * (k - 1) + p + 1`.
        number: The highest k.
        other: Sections of the volume that it is compared with: where it has objects, bool.
        parts: Number of parts that each object may consist of.
    """
    voxels, shared = np.zeros(parts * number + 1, np.int64), np.zeros(number + 1, np.int64)
    peak_voxels, peak = np.zeros(number + 1, np.int64), np.zeros((number + 1, 3))
    sections, arrows, left_out = [], [], []
    for z, (section, others) in enumerate(zip(ids, other, strict=True)):
        pixels = _Pixels.of(section, others)
        owners = (pixels.owner + parts - 1) // parts
        parted, here = pixels.count(pixels.owner, parts * number), pixels.count(owners, number)
        voxels += parted
        shared += pixels.count(owners[pixels.shared], number)
        larger = here > peak_voxels
        peak_voxels[larger] = here[larger]
        peak[larger, 0], peak[larger, 1:] = z, pixels.middles(owners, here)[larger]
        outlines = tuple(_trace_largest(pixels, parted, parts))
        sections.append(outlines)
        arrows.append(tuple(_arrows(pixels, parted, parts, {one.id for one in outlines})) if parts > 1 else ())
        left_out.append(int((parted > 0).sum()) - len(outlines))
    each = np.concatenate([np.zeros(parts - 1, np.int64), voxels]).reshape(number + 1, parts)
    return OutlinedObjects(tuple(sections), tuple(arrows), tuple(left_out), each, shared, peak, peak_voxels)


def trace(mask: NDArray[np.bool_], corner: tuple[int, int] = (0, 0)) -> str:
    """Return the border of a mask (Y, X), holes included, as an SVG path; empty for an empty mask.

    Args:
        mask: What to trace.
        corner: Where the mask begins in the section, along (y, x), in voxels.
    """
    double = mask.astype(np.uint8).repeat(2, axis=0).repeat(2, axis=1)  # so that one voxel has an outline, too
    contours, _ = cv2.findContours(double, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE)
    shift = np.array([corner[1], corner[0]]) * UNITS + 1
    rings = (cv2.approxPolyDP(contour, _tolerance(contour), True)[:, 0] for contour in contours)  # (N, 2) as (x, y)
    return "".join(_ring(ring * (UNITS // 2) + shift) for ring in rings)


def _trace_largest(pixels: _Pixels, here: NDArray[np.int64], parts: int) -> Iterator[Outline]:
    """Yield the outlines of a section's largest parts, as many as there is room for."""
    order = np.argsort(pixels.owner, kind="stable")
    present = np.flatnonzero(here)
    ends = np.cumsum(here[present])
    room = MAX_CHARACTERS
    for i in np.argsort(-here[present], kind="stable")[:MAX_OUTLINES]:
        own = order[ends[i] - here[present[i]] : ends[i]]
        y, x = pixels.row[own], pixels.column[own]
        top, left = int(y.min()), int(x.min())
        crop = np.zeros((int(y.max()) - top + 1, int(x.max()) - left + 1), np.bool_)
        crop[y - top, x - left] = True
        path = trace(crop, (top, left))
        if len(path) <= room:
            room -= len(path)
            k, part = divmod(int(present[i]) - 1, parts)
            yield Outline(k + 1, path, part)


def _arrows(pixels: _Pixels, here: NDArray[np.int64], parts: int, wanted: set[int]) -> Iterator[Arrow]:
    """Yield the arrows of the wanted objects, from the middle of their first part to that of their last."""
    middles = pixels.middles(pixels.owner, here)
    for k in sorted(wanted):
        first, last = parts * (k - 1) + 1, parts * k
        if here[first] and here[last]:
            corners = place_arrow(tuple(middles[first]), tuple(middles[last]))
            if corners:
                yield Arrow(k, _line(corners))


def _line(corners: list[Point]) -> str:
    """Return an open line as an SVG path."""
    places = ((round((x + 0.5) * UNITS), round((y + 0.5) * UNITS)) for y, x in corners)
    return "M" + "L".join(f"{x} {y}" for x, y in places)


def _tolerance(contour: NDArray) -> float:
    """Return how far a ring may be simplified, in half voxels."""
    return min(2 * TOLERANCE, 0.02 * cv2.arcLength(contour, True))


def _ring(points: NDArray[np.integer]) -> str:
    """Return a closed ring of points (N, 2) as (x, y): the first as it is, the others as steps from the one before."""
    (x, y), steps = points[0].tolist(), np.diff(points, axis=0).reshape(-1).tolist()
    walked = " ".join(map(str, steps)).replace(" -", "-")
    return f"M{x} {y}l{walked}z" if walked else f"M{x} {y}h1z"
