"""Distances to the nearest target of a volume that is read slab by slab: exact, however far the target lies."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import final

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import KDTree

from connectomics.geometry import ZYX, Spacing
from connectomics.metrics.distance import DistanceCounts, TargetDistances, find_border
from connectomics.metrics.lattice import build_lattice
from connectomics.metrics.pair import Mask

ReadMask = Callable[[int, int], Mask]
"""Gives the sections from one up to another of a mask, bool (n, Y, X)."""

KEPT_TREES = 32
"""How many slabs keep the tree of their targets; each takes some 100 bytes for each voxel of the targets' surface."""


@final
class ReachingDistances:
    """Looks for the nearest target around a slab first, then farther away for those voxels that may have a nearer one.

    What was found at a distance is certain where no section that was not looked at is nearer.
    """

    def __init__(self, read: ReadMask, shape: ZYX, spacing_nm: Spacing, depth: int) -> None:
        """Prepare to measure.

        Args:
            read: The targets.
            shape: Extent of the volume along (z, y, x), in voxels.
            spacing_nm: Voxel size along (z, y, x), in nanometres.
            depth: Sections of a slab, and how far around it is looked at first.
        """
        self._read, self._shape, self._spacing, self._depth = read, shape, spacing_nm, depth
        self.lattice = build_lattice(spacing_nm, shape)
        self._weights = np.asarray(self.lattice.weights)
        self._trees: OrderedDict[int, tuple[NDArray[np.int32], KDTree] | None] = OrderedDict()

    def squared(self, start: int, queried: Mask) -> NDArray[np.float64]:
        """Return the squared distance of each voxel of a slab (n, Y, X) from `start` on, in units of `lattice`.

        It is infinite where the volume has no target.
        """
        voxels = np.argwhere(queried)
        voxels[:, 0] += start
        first, last = start // self._depth - 1, (start + len(queried) - 1) // self._depth + 1
        best = self._around(start, queried, max(0, first), last)
        below, above = first - 1, last + 1
        while True:
            unsure = {
                slab: np.flatnonzero(best > self._gap(slab, voxels[:, 0]) ** 2.0 * self._weights[0])
                for slab in (below, above)
                if 0 <= slab * self._depth < self._shape[0]
            }
            if not any(len(some) for some in unsure.values()):
                return best
            for slab, some in unsure.items():
                if len(some):
                    best[some] = np.minimum(best[some], self._beyond(slab, voxels[some]))
            below, above = below - 1, above + 1

    def _gap(self, slab: int, z: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return how many sections a slab lies above or below each section."""
        return np.maximum(z - (slab + 1) * self._depth + 1, slab * self._depth - z)

    def _around(self, start: int, queried: Mask, first: int, last: int) -> NDArray[np.float64]:
        """Return the distances to the targets of slabs `first` to `last`; infinite where these have none."""
        low, high = first * self._depth, min(self._shape[0], (last + 1) * self._depth)
        targets, found = self._read(low, high), np.full(int(np.count_nonzero(queried)), np.inf)
        if not targets.any() or not len(found):
            return found
        asked = np.zeros_like(targets)
        asked[start - low : start - low + len(queried)] = queried
        distances = TargetDistances(targets, self._spacing, asked)
        factor = (distances.lattice.unit_nm / self.lattice.unit_nm) ** 2
        parts = [distances.squared(start - low + i, np.flatnonzero(own)) for i, own in enumerate(queried)]
        return np.concatenate(parts) * factor

    def _beyond(self, slab: int, voxels: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return the squared distances from voxels (z, y, x), (N, 3), to the targets of a slab."""
        kept = self._tree(slab)
        if kept is None:
            return np.full(len(voxels), np.inf)
        border, tree = kept
        _, nearest = tree.query(voxels * np.sqrt(self._weights))
        return (border[nearest] - voxels) ** 2.0 @ self._weights

    def _tree(self, slab: int) -> tuple[NDArray[np.int32], KDTree] | None:
        """Return the targets of a slab that others can be seen from, (N, 3), and a tree of them; None without any."""
        if slab not in self._trees:
            start, stop = slab * self._depth, min(self._shape[0], (slab + 1) * self._depth)
            low = max(0, start - 1)
            border = find_border(self._read(low, min(self._shape[0], stop + 1)))
            border[:, 0] += low
            border = border[(border[:, 0] >= start) & (border[:, 0] < stop)]
            tree = KDTree(border * np.sqrt(self._weights), balanced_tree=False, compact_nodes=False)
            self._trees[slab] = (border, tree) if len(border) else None
            if len(self._trees) > KEPT_TREES:
                self._trees.popitem(last=False)
        self._trees.move_to_end(slab)
        return self._trees[slab]


@final
class DistanceTally:
    """Counts distances, slab by slab."""

    def __init__(self, reaching: ReachingDistances) -> None:
        self._lattice = reaching.lattice
        self._squared, self._counts = np.zeros(0), np.zeros(0, np.int64)

    def add(self, squared: NDArray[np.float64]) -> None:
        """Count squared distances, in units of the lattice, (N,)."""
        own, counts = np.unique(squared, return_counts=True)
        merged, where = np.unique(np.concatenate([self._squared, own]), return_inverse=True)
        total = np.zeros(len(merged), np.int64)
        np.add.at(total, where, np.concatenate([self._counts, counts]))
        self._squared, self._counts = merged, total

    def counts(self) -> DistanceCounts:
        """Return all of them."""
        return DistanceCounts(self._squared, self._counts, self._lattice)
