"""Where the objects of a mask lie in each section, as vector paths."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import cc3d
import cv2
import numpy as np
from numpy.typing import NDArray

Mask = NDArray[np.bool_]
"""Voxels that belong to something, bool, (Z, Y, X)."""

UNITS = 4
"""Path units for the side of a voxel; a path lies a quarter of a voxel inside the border of its object."""

MAX_OUTLINES = 400
"""Objects of one mask that are traced in one section, the largest ones: a prediction may be noise."""

MAX_CHARACTERS = 100_000
"""Length of all paths of one mask in one section."""

TOLERANCE = 0.75
"""How far, in voxels, a path may leave the border of a large object; that of a small one less."""


@dataclass(frozen=True, slots=True)
class Outline:
    """One object in one section."""

    id: int
    path: str
    """As in the `d` of an SVG path, with `UNITS` units to a voxel."""


@dataclass(frozen=True, slots=True, eq=False)
class OutlinedMask:
    """The objects of a mask; index 0 of every array is the background.

    Attributes:
        sections: For each section the outlines of its objects, the largest ones first.
        left_out: How many objects of each section have no outline.
        voxels: Size of each object, int64, (N + 1,).
        shared: How many of its voxels another mask holds too, int64, (N + 1,).
        peak: Its section with the most voxels, and the middle of it there along (y, x), float64, (N + 1, 3).
        peak_voxels: How many voxels it has there, int64, (N + 1,).
    """

    sections: tuple[tuple[Outline, ...], ...]
    left_out: tuple[int, ...]
    voxels: NDArray[np.int64]
    shared: NDArray[np.int64]
    peak: NDArray[np.float64]
    peak_voxels: NDArray[np.int64]


def outline_objects(mask: Mask, other: Mask, connectivity: int) -> OutlinedMask:
    """Trace the connected components of a mask, with the ids that `metrics.synapses` gives them.

    Args:
        mask: Bool, (Z, Y, X).
        other: The mask that it is compared with, same shape.
        connectivity: 6 joins voxels that share a face, 18 an edge, 26 a corner.
    """
    ids, number = cc3d.connected_components(mask, connectivity=connectivity, return_N=True)
    voxels, shared, peak_voxels = np.zeros((3, number + 1), np.int64)
    peak = np.zeros((number + 1, 3))
    sections, left_out = [], []
    for z, (section, others) in enumerate(zip(ids, other, strict=True)):
        pixels = np.flatnonzero(section)
        owners = section.ravel()[pixels]
        rows, columns = np.divmod(pixels, section.shape[1])
        here = np.bincount(owners, minlength=number + 1)
        voxels += here
        shared += np.bincount(owners[others.ravel()[pixels]], minlength=number + 1)
        larger = here > peak_voxels
        peak_voxels[larger] = here[larger]
        middles = [np.bincount(owners, weights=w, minlength=number + 1)[larger] / here[larger] for w in (rows, columns)]
        peak[larger] = np.stack([np.full(int(larger.sum()), z), *middles], axis=1)
        outlines = tuple(_trace_largest(owners, rows, columns, here))
        sections.append(outlines)
        left_out.append(int((here > 0).sum()) - len(outlines))
    return OutlinedMask(tuple(sections), tuple(left_out), voxels, shared, peak, peak_voxels)


def trace(mask: NDArray[np.bool_], corner: tuple[int, int] = (0, 0)) -> str:
    """Return the border of a mask (Y, X), holes included, as an SVG path; empty for an empty mask.

    Args:
        mask: What to trace.
        corner: Where it begins in the section, along (y, x), in voxels.
    """
    double = mask.astype(np.uint8).repeat(2, axis=0).repeat(2, axis=1)  # so that one voxel has an outline, too
    contours, _ = cv2.findContours(double, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE)
    shift = np.array([corner[1], corner[0]]) * UNITS + 1
    rings = (cv2.approxPolyDP(contour, _tolerance(contour), True)[:, 0] for contour in contours)  # (N, 2) as (x, y)
    return "".join(_ring(ring * (UNITS // 2) + shift) for ring in rings)


def _trace_largest(
    owners: NDArray, rows: NDArray[np.intp], columns: NDArray[np.intp], here: NDArray[np.int64]
) -> Iterator[Outline]:
    """Yield the outlines of a section's largest objects, as many as there is room for."""
    order = np.argsort(owners, kind="stable")
    present = np.flatnonzero(here)
    ends = np.cumsum(here[present])
    room = MAX_CHARACTERS
    for i in np.argsort(-here[present], kind="stable")[:MAX_OUTLINES]:
        own = order[ends[i] - here[present[i]] : ends[i]]
        y, x = rows[own], columns[own]
        top, left = int(y.min()), int(x.min())
        crop = np.zeros((int(y.max()) - top + 1, int(x.max()) - left + 1), np.bool_)
        crop[y - top, x - left] = True
        path = trace(crop, (top, left))
        if len(path) <= room:
            room -= len(path)
            yield Outline(int(present[i]), path)


def _tolerance(contour: NDArray) -> float:
    """Return how far a ring may be simplified, in half voxels."""
    return min(2 * TOLERANCE, 0.02 * cv2.arcLength(contour, True))


def _ring(points: NDArray[np.integer]) -> str:
    """Return a closed ring of points (N, 2) as (x, y): the first as it is, the others as steps from the one before."""
    (x, y), steps = points[0].tolist(), np.diff(points, axis=0).reshape(-1).tolist()
    walked = " ".join(map(str, steps)).replace(" -", "-")
    return f"M{x} {y}l{walked}z" if walked else f"M{x} {y}h1z"
