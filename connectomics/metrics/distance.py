"""How far the voxels of one mask lie from another mask, in two ways that are slow on different masks.

A k-d tree over the surface of the second mask answers each voxel by itself, in a few microseconds. The exact Euclidean
distance transform of the `edt` package answers all voxels of the volume at once, in some thirty nanoseconds each. What
is asked decides, so no mask takes long: few voxels go to the tree, many to the transform.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import final

import edt
import numpy as np
from numpy.typing import NDArray
from scipy.spatial import KDTree

from connectomics.geometry import Box, Spacing
from connectomics.metrics.lattice import Lattice, build_lattice
from connectomics.metrics.pair import Mask

TREE_COST = 150
"""Looking up one voxel in the tree takes as long as this many voxels of the transform; measured on one core."""

BORDER_COST = 10
"""Adding one voxel to the tree takes as long as this many voxels of the transform."""

SAMPLE = 1000
"""How many voxels a tree is tried on before many are looked up in it."""

MOST_SECONDS = 1e-7
"""Longest time for a tree, per voxel of the volume; a slower tree gives way to the transform, which takes a third of
it."""

LARGEST_FLOAT32 = 2**24
"""Whole numbers up to this one are exact in float32, the type of the transform."""

DROPPED_BITS = 5
"""How many of a float32's last bits are ignored where squared distances are not whole numbers: one part in 500,000."""

SMALL = 2_000_000
"""A box of fewer voxels counts as one of this many: its tree takes a tenth of a second at most."""

SMALLEST_KEY = int(np.float32(1e-6).view(np.int32)) >> DROPPED_BITS

THREADS = min(16, os.cpu_count() or 1)


@dataclass(frozen=True, slots=True, eq=False)
class DistanceCounts:
    """Every distance that occurs, and at how many voxels: millions of voxels share a few thousand distances.

    Attributes:
        squared: Distinct squared distances in units of `lattice`, ascending, float64, (N,).
        counts: Voxels at each of them, int64, (N,).
        lattice: The unit.

    They are exact, with one exception: where a large share of a volume is asked for (`TREE_COST`) and the voxel size
    leaves its squared distances no whole numbers below 2^24, those alike but for `DROPPED_BITS` stand as their mean.
    """

    squared: NDArray[np.float64]
    counts: NDArray[np.int64]
    lattice: Lattice

    @property
    def total(self) -> int:
        """Number of voxels."""
        return int(self.counts.sum())

    @property
    def lengths_nm(self) -> NDArray[np.float64]:
        """The distinct distances, in nanometres, ascending."""
        return np.sqrt(self.squared) * self.lattice.unit_nm

    def mean(self) -> float:
        """Return the mean distance, in nanometres."""
        return float(self.lengths_nm @ self.counts / self.total)

    def std(self) -> float:
        """Return the standard deviation over all voxels (not a sample's), in nanometres."""
        return float(np.sqrt((self.lengths_nm - self.mean()) ** 2 @ self.counts / self.total))

    def median(self) -> float:
        """Return the median distance, in nanometres; of an even number of voxels, the mean of the middle two."""
        last_rank = np.cumsum(self.counts) - 1
        middle = np.searchsorted(last_rank, [(self.total - 1) // 2, self.total // 2])
        return float(self.lengths_nm[middle].mean())

    def max(self) -> float:
        """Return the largest distance, in nanometres."""
        return float(self.lengths_nm[-1])

    def count_farther_than(self, length_nm: float) -> int:
        """Return how many voxels lie strictly farther than `length_nm`."""
        return int(self.counts[self.squared > self.lattice.squared(length_nm)].sum())


@final
class TargetDistances:
    """Distances to the nearest target, asked for the pixels of one section after another.

    Memory beyond the masks: some 100 bytes for each voxel of the targets' surface, or 6 for each voxel of the volume.
    """

    def __init__(self, targets: Mask, spacing_nm: Spacing, asked: Mask) -> None:
        """Prepare to measure.

        Args:
            targets: Voxels that distances lead to, bool, (Z, Y, X); at least one.
            spacing_nm: Voxel size along (z, y, x), in nanometres.
            asked: The voxels whose distances will be asked for, same shape.
        """
        self._box = find_extent(asked, targets)
        self._targets = targets
        inner = targets[self._box.slices]
        self.lattice = build_lattice(spacing_nm, inner.shape)
        self._steps = np.sqrt(self.lattice.weights)
        largest = sum(weight * extent**2 for weight, extent in zip(self.lattice.weights, inner.shape, strict=True))
        self.is_whole = largest < LARGEST_FLOAT32 and all(weight == round(weight) for weight in self.lattice.weights)
        """Whether every squared distance is a whole number that float32 holds."""
        outside = asked[self._box.slices] & ~inner
        number = int(np.count_nonzero(outside))
        self._tree: KDTree | None = None
        if suits_tree(number, 0, inner.size) and suits_tree(number, _count_border(inner), inner.size):
            self._border = find_border(inner)
            self._tree = KDTree(self._border * self._steps, balanced_tree=False, compact_nodes=False)
            if number > SAMPLE and self._seconds(np.argwhere(outside)) > MOST_SECONDS * inner.size:
                self._tree = None
        del outside
        if self._tree is None:
            outside_of = (~inner).view(np.uint8)  # edt copies what is bool
            self._volume = edt.edtsq(outside_of, tuple(self._steps), black_border=False, parallel=THREADS)

    def _seconds(self, voxels: NDArray[np.int64]) -> float:
        """Return how long the tree would take for all voxels (z, y, x), (N, 3), by those of an even sample.

        Where very many targets are all but equally near, as inside of a shell, a tree looks at each of them.
        """
        assert self._tree is not None
        sample, start = voxels[:: len(voxels) // SAMPLE + 1], time.process_time()
        self._tree.query(sample * self._steps)
        return (time.process_time() - start) * len(voxels) / len(sample)

    @property
    def uses_tree(self) -> bool:
        """Whether each voxel is looked up on its own; otherwise a transform holds all distances."""
        return self._tree is not None

    def squared(self, z: int, pixels: NDArray[np.intp]) -> NDArray[np.float64]:
        """Return the squared distances, in units of `lattice`, from pixels of the raveled section `z`, (N,)."""
        (z0, y0, x0), (_, _, width) = self._box.start, self._targets.shape
        if self._tree is None and self._box.shape[2] == width:
            return self._volume[z - z0].reshape(-1)[pixels - y0 * width].astype(np.float64)
        rows, columns = np.divmod(pixels, width)
        if self._tree is None:
            return self._volume[z - z0, rows - y0, columns - x0].astype(np.float64)
        squared = np.zeros(len(pixels))
        outside = np.flatnonzero(~self._targets[z, rows, columns])
        voxels = np.stack([np.full(len(outside), z - z0), rows[outside] - y0, columns[outside] - x0], axis=1)
        _, nearest = self._tree.query(voxels * self._steps, workers=THREADS if len(outside) > 10_000 else 1)
        squared[outside] = (self._border[nearest] - voxels) ** 2.0 @ np.asarray(self.lattice.weights)
        return squared


def suits_tree(outside: int, border: int, voxels: int) -> bool:
    """Return whether to look up voxels `outside` of the targets in a tree over a `border`, in a box of `voxels`."""
    return outside * TREE_COST + border * BORDER_COST <= max(voxels, SMALL)


def measure_distances(queried: Mask, targets: Mask, spacing_nm: Spacing) -> DistanceCounts:
    """Measure the distance of each queried voxel to the nearest target, between voxel centres.

    Args:
        queried: Voxels that distances are asked for, bool, (Z, Y, X).
        targets: Voxels that distances lead to, bool, same shape.
        spacing_nm: Voxel size along (z, y, x), in nanometres.

    Raises:
        ValueError: If the shapes differ, or a mask is empty and no distance exists.
    """
    if queried.shape != targets.shape:
        raise ValueError(f"queried has shape {queried.shape}, targets has {targets.shape}")
    if not queried.any() or not targets.any():
        raise ValueError("no distance exists: a mask is empty")
    distances = TargetDistances(targets, spacing_nm, queried)
    pixels = ((z, np.flatnonzero(section)) for z, section in enumerate(queried))
    parts = (distances.squared(z, own) for z, own in pixels if len(own))
    if distances.uses_tree:
        counted = np.unique(np.concatenate(list(parts)), return_counts=True)
    else:
        counted = _count(parts, distances.is_whole)
    return DistanceCounts(*counted, distances.lattice)


def _count(parts: Iterator[NDArray], is_whole: bool) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return the distinct numbers, and how often each occurs; if not whole, the alike (`DROPPED_BITS`) are one."""
    counts, sums = np.zeros(0, np.int64), np.zeros(0)
    for part in parts:
        keys = part.astype(np.int64) if is_whole else _without_last_bits(part)
        counts = np.pad(counts, (0, max(0, int(keys.max()) + 1 - len(counts))))
        found = np.bincount(keys)
        counts[: len(found)] += found
        if not is_whole:
            sums = np.pad(sums, (0, len(counts) - len(sums)))
            sums += np.bincount(keys, weights=part, minlength=len(counts))
    some = np.flatnonzero(counts)
    return some.astype(np.float64) if is_whole else sums[some] / counts[some], counts[some]


def _without_last_bits(numbers: NDArray) -> NDArray[np.int32]:
    """Return whole numbers that are alike for like numbers; 0 for 0."""
    return np.maximum((numbers.astype(np.float32).view(np.int32) >> DROPPED_BITS) - SMALLEST_KEY, 0)


def find_border(mask: Mask) -> NDArray[np.int32]:
    """Return the voxels (z, y, x) of a mask that share a face with one outside of it, (N, 3).

    A voxel at the end of the volume is no border by that alone: what is nearest to a voxel outside of the mask, but
    within the volume, always has a neighbour on the way there.
    """
    parts = []
    for z, section in enumerate(_borders(mask)):
        rows, columns = np.nonzero(section)
        parts.append(np.stack([np.full(len(rows), z), rows, columns], axis=1).astype(np.int32))
    return np.concatenate(parts)


def _count_border(mask: Mask) -> int:
    return sum(int(np.count_nonzero(section)) for section in _borders(mask))


def _borders(mask: Mask) -> Iterator[Mask]:
    """Yield the border voxels of each section, (Y, X)."""
    for z, section in enumerate(mask):
        inner = section.copy()
        for near in (z - 1, z + 1):
            if 0 <= near < len(mask):
                inner &= mask[near]
        inner[1:] &= section[:-1]
        inner[:-1] &= section[1:]
        inner[:, 1:] &= section[:, :-1]
        inner[:, :-1] &= section[:, 1:]
        yield section & ~inner


def find_extent(first: Mask, second: Mask) -> Box:
    """Return the smallest box that holds every voxel of both masks; it is empty where both are."""
    sections = np.zeros(first.shape[0], bool)
    rows = np.zeros(first.shape[1], bool)
    columns = np.zeros(first.shape[2], bool)
    for z, (above, below) in enumerate(zip(first, second, strict=True)):
        either = above | below
        occupied = either.any(axis=1)
        sections[z] = occupied.any()
        rows |= occupied
        columns |= either.any(axis=0)
    ends = [_find_ends(axis) for axis in (sections, rows, columns)]
    return Box((ends[0][0], ends[1][0], ends[2][0]), (ends[0][1], ends[1][1], ends[2][1]))


def _find_ends(occupied: NDArray[np.bool_]) -> tuple[int, int]:
    """Return where the occupied positions of an axis start and stop."""
    some = np.flatnonzero(occupied)
    return (int(some[0]), int(some[-1]) + 1) if len(some) else (0, 0)
