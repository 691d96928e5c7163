"""How far annotated voxels lie from the mask of every threshold of a sweep, exactly, without a transform for each mask.

For the voxels in a box, a candidate is of no use when another one is predicted at the same thresholds or more, and is
no farther from any corner of the box: squared distances to two points differ by a function that is linear in place, so
what holds at the corners holds inside. Boxes are halved until few candidates are left, and these are all compared.
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import final

import numpy as np
from numpy.typing import NDArray

from connectomics.geometry import Spacing
from connectomics.metrics.lattice import build_lattice
from connectomics.metrics.pair import Mask
from connectomics.metrics.sweep.levels import Levels

BLOCK = (4, 64, 64)
"""Extent along (z, y, x), in voxels, of the boxes that the search begins with."""

PAIRS = 200_000
"""Most pairs of an annotated voxel and a candidate that are compared at once; a box with more is halved."""

FEW = 48
"""A box with at most this many annotated voxels is not halved."""

PIVOTS = (4, 12)
"""How many candidates the others in a box are compared with, in two rounds."""


THREADS = min(16, os.cpu_count() or 1)
"""Number of threads that search boxes in parallel."""


@dataclass(frozen=True, slots=True, eq=False)
class _Points:
    """Voxels with their levels."""

    places: NDArray[np.float64]
    """Positions along (z, y, x), in voxels, (3, N)."""
    levels: NDArray[np.uint8]

    def __len__(self) -> int:
        return len(self.levels)

    def take(self, which: NDArray[np.intp]) -> _Points:
        return _Points(self.places.take(which, axis=1), self.levels.take(which))


def sum_nearest(levels: Levels, truth: Mask, spacing_nm: Spacing) -> NDArray[np.float64]:
    """Sum, over the annotated voxels, the distance to the nearest voxel of at least each level.

    Args:
        levels: Levels of a sweep, (Z, Y, X).
        truth: Annotated voxels, bool, same shape.
        spacing_nm: Voxel size along (z, y, x), in nanometres.

    Returns:
        Sums in nanometres for the levels 1, 2, ... up to the largest that occurs, (L,).
    """
    top = int(levels.max(initial=0))
    lattice = build_lattice(spacing_nm, levels.shape)
    search = _Search(np.asarray(lattice.weights), top)
    candidates, wanted = _border(levels), np.flatnonzero(truth & (levels < top))
    if not len(wanted):
        return search.no_sums * lattice.unit_nm
    blocks = _Blocks.of(candidates, levels, search.weights)
    places = np.stack(np.unravel_index(wanted, levels.shape))
    points = _Points(places.astype(np.float64), levels.reshape(-1)[wanted])

    def sum_block(own: NDArray[np.intp]) -> NDArray[np.float64]:
        queries = points.take(own)
        return search.descend(queries, blocks.near(queries))

    with ThreadPoolExecutor(THREADS) as pool:
        sums = pool.map(sum_block, _grouped(_block_numbers(places, levels.shape)))
        return sum(sums, start=search.no_sums) * lattice.unit_nm


@final
class _Search:
    """Sums up the distances of one box of annotated voxels after another."""

    def __init__(self, weights: NDArray[np.float64], top: int) -> None:
        self.weights = weights
        self.no_sums = np.zeros(top)
        self._all = np.arange(1, top + 1, dtype=np.uint8)

    def descend(self, queries: _Points, candidates: _Points) -> NDArray[np.float64]:
        """Halve the box of some annotated voxels until few candidates are left, then compare all; return the sums."""
        low, high = queries.places.min(axis=1), queries.places.max(axis=1)
        useful = np.flatnonzero(candidates.levels > queries.levels.min())
        candidates = self._prune(candidates.take(useful), low, high)
        if len(queries) * len(candidates) <= PAIRS or len(queries) <= FEW:
            return self._compare(queries, candidates)
        axis = int(np.argmax((high - low) ** 2 * self.weights))
        middle = np.median(queries.places[axis])
        lower = queries.places[axis] <= (middle if middle < high[axis] else middle - 0.5)
        halves = (queries.take(np.flatnonzero(half)) for half in (lower, ~lower))
        return sum((self.descend(half, candidates) for half in halves), start=self.no_sums)

    def _prune(self, candidates: _Points, low: NDArray[np.float64], high: NDArray[np.float64]) -> _Points:
        """Return the candidates of use in a box, the highest levels first."""
        candidates = candidates.take(np.argsort(~candidates.levels, kind="stable"))
        corners = self._to_corners(candidates.places, low, high)
        for pivots in PIVOTS:
            kept = _undominated(corners, pivots)
            candidates, corners = candidates.take(kept), [corner.take(kept) for corner in corners]
        return candidates

    def _to_corners(
        self, places: NDArray[np.float64], low: NDArray[np.float64], high: NDArray[np.float64]
    ) -> list[NDArray[np.float64]]:
        """Return the squared distances of places (3, N) to each corner of a box, (N,)."""
        apart = [[w * (places[a] - end) ** 2 for end in sorted({low[a], high[a]})] for a, w in enumerate(self.weights)]
        planes = [y + x for y in apart[1] for x in apart[2]]
        return [z + plane for z in apart[0] for plane in planes]

    def _compare(self, queries: _Points, candidates: _Points) -> NDArray[np.float64]:
        """Return the sum of the distances of all queries, at each level."""
        squared = np.zeros((len(queries), len(candidates)))
        for axis, weight in enumerate(self.weights):
            squared += weight * (queries.places[axis, :, np.newaxis] - candidates.places[axis]) ** 2
        nearest = np.minimum.accumulate(squared, axis=1)  # over the candidates of at least some level
        count = np.searchsorted(~candidates.levels, ~self._all, side="right")  # of at least each level
        lengths = np.sqrt(nearest)[:, np.maximum(count, 1) - 1]
        return (lengths * (self._all > queries.levels[:, np.newaxis])).sum(axis=0)


@dataclass(frozen=True, slots=True, eq=False)
class _Blocks:
    """Candidates, block by block."""

    points: _Points
    """The candidates, sorted by block, and within a block from the highest level down."""
    keys: NDArray[np.int64]
    """256 times the index of the block, plus 255 minus the level; ascending, (N,)."""
    low: NDArray[np.float64]
    """First and last voxel of each block that has candidates, (B, 3)."""
    high: NDArray[np.float64]
    top: NDArray[np.uint8]
    """The highest level in each of these blocks, (B,)."""
    weights: NDArray[np.float64]

    @classmethod
    def of(cls, candidates: NDArray[np.int64], levels: Levels, weights: NDArray[np.float64]) -> _Blocks:
        """Sort candidates, which are raveled positions, into blocks."""
        places = np.stack(np.unravel_index(candidates, levels.shape))
        numbers = _block_numbers(places, levels.shape)
        keys = 256 * numbers + 255 - levels.reshape(-1)[candidates]
        order = np.argsort(keys, kind="stable")
        starts = np.flatnonzero(np.diff(numbers[order], prepend=-1))
        points = _Points(places.take(order, axis=1).astype(np.float64), levels.reshape(-1)[candidates[order]])
        index = np.repeat(np.arange(len(starts)), np.diff(np.append(starts, len(order))))
        low, high = (f.reduceat(points.places, starts, axis=1).T for f in (np.minimum, np.maximum))
        top = np.maximum.reduceat(points.levels, starts)
        return cls(points, 256 * index + 255 - points.levels, low, high, top, weights)

    def near(self, queries: _Points) -> _Points:
        """Return the candidates that can be the nearest one of a query, at some level, by where their blocks lie."""
        low, high = queries.places.min(axis=1), queries.places.max(axis=1)
        least = (np.maximum(0, np.maximum(self.low - high, low - self.high)) ** 2) @ self.weights
        most = (np.maximum(self.high - low, high - self.low) ** 2) @ self.weights
        order = np.argsort(most, kind="stable")
        reached = np.maximum.accumulate(self.top[order])
        # A block that reaches a level ends no farther than this; what begins beyond is of no use at that level.
        bounds = most[order][np.searchsorted(reached, np.arange(int(self.top.max()) + 1))]
        lowest = np.searchsorted(bounds, least)  # that a candidate of each block can be of use at
        chosen = np.flatnonzero(lowest <= self.top)
        first = np.searchsorted(self.keys, 256 * chosen)
        last = np.searchsorted(self.keys, 256 * chosen + 255 - lowest[chosen], side="right")
        return self.points.take(np.concatenate([np.arange(a, b) for a, b in zip(first, last, strict=True)]))


def _undominated(corners: list[NDArray[np.float64]], pivots: int) -> NDArray[np.intp]:
    """Return which candidates, in the order of their levels, none of some pivots makes useless.

    The pivots are among those that are nearer to the box than all of a higher level.
    """
    total = sum(corners[1:], start=corners[0])
    kept = np.ones(len(total), np.bool_)
    records = np.flatnonzero(total == np.minimum.accumulate(total))
    if len(records) > pivots:
        records = records[np.linspace(0, len(records) - 1, pivots).round().astype(int)]
    for pivot in records:
        if kept[pivot]:
            worse = corners[0][pivot:] >= corners[0][pivot]  # and of no higher level, by the order
            for corner in corners[1:]:
                worse &= corner[pivot:] >= corner[pivot]
            worse[0] = False
            kept[pivot:] &= ~worse
    return np.flatnonzero(kept)


def _border(levels: Levels) -> NDArray[np.int64]:
    """Return the raveled positions of voxels of a level that are beside, along an axis, one of a lower level.

    Of any others a neighbour of the same level or more lies nearer to wherever one looks from; a query at the voxel
    itself needs none.
    """
    found = []
    for z, section in enumerate(levels):
        lower = np.zeros(section.shape, np.bool_)
        lower[1:] |= section[:-1] < section[1:]
        lower[:-1] |= section[1:] < section[:-1]
        lower[:, 1:] |= section[:, :-1] < section[:, 1:]
        lower[:, :-1] |= section[:, 1:] < section[:, :-1]
        for other in (z - 1, z + 1):
            if 0 <= other < len(levels):
                lower |= levels[other] < section
        found.append(np.flatnonzero(lower) + z * section.size)
    return np.concatenate(found)


def _block_numbers(places: NDArray[np.int64], shape: tuple[int, ...]) -> NDArray[np.int64]:
    """Return the number of the block that each voxel (3, N) lies in."""
    counts = [-(-n // b) for n, b in zip(shape, BLOCK, strict=True)]
    z, y, x = (places[a] // BLOCK[a] for a in range(3))
    return (z * counts[1] + y) * counts[2] + x


def _grouped(numbers: NDArray[np.int64]) -> list[NDArray[np.intp]]:
    """Return where each distinct number stands."""
    order = np.argsort(numbers, kind="stable")
    return np.split(order, np.flatnonzero(np.diff(numbers[order])) + 1)
