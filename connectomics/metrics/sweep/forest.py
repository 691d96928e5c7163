"""The connected components of all masks of a sweep, from the highest threshold down: they grow, merge, and never split.

A node is a component from the threshold at which it comes to be until it grows or merges. Only the voxels that a
threshold adds are looked at, so that a whole sweep costs little more than one labelling.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from typing import final

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from connectomics.geometry import ZYX
from connectomics.metrics.sweep.levels import Levels


@dataclass(frozen=True, slots=True, eq=False)
class Step:
    """What one threshold adds."""

    level: int
    """Voxels of at least this level are in the mask."""
    voxels: NDArray[np.int64]
    """Raveled positions of the new voxels, (M,)."""
    nodes: NDArray[np.int64]
    """The node that each new voxel belongs to, (M,)."""
    renamed: NDArray[np.int64]
    """For each former node, the node that it belongs to now."""


@final
class Forest:
    """The nodes of all thresholds.

    Attributes:
        sizes: Voxels of each node, (N,).
        sums: Sum of the positions of each node's voxels along (z, y, x), (3, N).
        level: Level at which each node came into being, (N,).
        parent: The node that it became a part of, or itself, (N,).
        alive: Nodes that are components at the level of the last step, ascending.
    """

    def __init__(self, levels: Levels, connectivity: int) -> None:
        """Prepare to take the steps; 6 joins voxels that share a face, 18 an edge, 26 a corner."""
        self._shape: ZYX = levels.shape
        places = np.flatnonzero(levels)
        order = np.argsort(levels.reshape(-1)[places], kind="stable")
        self._places = places[order]
        self._starts = np.searchsorted(levels.reshape(-1)[self._places], np.arange(257))
        self._top = int(levels.max(initial=0))
        self._node = np.full([n + 2 for n in levels.shape], -1, np.int32)  # with a border, of no node
        _, y, x = self._node.shape
        reach = {6: 1, 18: 2, 26: 3}[connectivity]
        self._offsets = [
            (dz * y + dy) * x + dx
            for dz, dy, dx in product((-1, 0, 1), repeat=3)
            if 0 < abs(dz) + abs(dy) + abs(dx) <= reach
        ]
        self.sizes = np.zeros(0, np.int64)
        self.sums = np.zeros((3, 0))
        self.level = np.zeros(0, np.uint8)
        self.parent = np.zeros(0, np.int64)
        self.alive = np.zeros(0, np.int64)
        self._root = np.zeros(0, np.int64)  # of every node: the node that it belongs to now

    def steps(self) -> Iterator[Step]:
        """Go down from the highest level to 1; a level without new voxels has no step."""
        for level in range(self._top, 0, -1):
            voxels = self._places[self._starts[level] : self._starts[level + 1]]
            if len(voxels):
                yield self._add(level, voxels)

    def births(self) -> NDArray[np.int32]:
        """Return the node of each voxel when it joined, -1 for none, (Z, Y, X)."""
        return self._node[1:-1, 1:-1, 1:-1]

    def _add(self, level: int, voxels: NDArray[np.int64]) -> Step:
        at = np.unravel_index(voxels, self._shape)
        inner = np.ravel_multi_index([a + 1 for a in at], self._node.shape)
        group, old = self._join(inner)
        number = int(group.max()) + 1
        before = len(self.sizes)
        fresh = before + np.arange(number)
        merged = np.full(before, -1, np.int64)
        merged[old] = before + group[len(voxels) :]
        nodes = before + group[: len(voxels)]
        sizes = np.bincount(group[: len(voxels)], minlength=number)
        sizes += np.bincount(group[len(voxels) :], weights=self.sizes[old], minlength=number).astype(np.int64)
        sums = np.stack([np.bincount(group[: len(voxels)], weights=a, minlength=number) for a in at])
        sums += [np.bincount(group[len(voxels) :], weights=s[old], minlength=number) for s in self.sums]
        renamed = np.where(merged[self._root] >= 0, merged[self._root], self._root) if before else self._root
        self.parent[old] = merged[old]
        self.sizes, self.sums = np.concatenate([self.sizes, sizes]), np.concatenate([self.sums, sums], axis=1)
        self.level = np.concatenate([self.level, np.full(number, level, np.uint8)])
        self.parent = np.concatenate([self.parent, fresh])
        self.alive = np.concatenate([np.setdiff1d(self.alive, old, assume_unique=True), fresh])
        self._root = np.concatenate([renamed, fresh])
        self._node.reshape(-1)[inner] = nodes
        return Step(level, voxels, nodes, renamed)

    def _join(self, inner: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return the new component, from 0, of each new voxel and then of each old one that they touch; and these."""
        flat, count = self._node.reshape(-1), len(inner)
        flat[inner] = -2 - np.arange(count)  # a new voxel is known by its number
        ends: list[NDArray[np.int64]] = []
        starts: list[NDArray[np.int64]] = []
        for offset in self._offsets:
            found = flat[inner + offset]
            touching = np.flatnonzero(found != -1)
            starts.append(touching)
            ends.append(found[touching].astype(np.int64))
        start, end = np.concatenate(starts), np.concatenate(ends)
        is_old = end >= 0
        roots = self._root[end[is_old]]
        touched = np.zeros(len(self._root), np.bool_)
        touched[roots] = True
        old = np.flatnonzero(touched)
        end[is_old] = count + touched.cumsum()[roots] - 1
        end[~is_old] = -2 - end[~is_old]
        total = count + len(old)
        graph = coo_array((np.ones(len(start), np.bool_), (start, end)), shape=(total, total))
        return connected_components(graph, directed=False)[1].astype(np.int64), old


def open_levels(levels: Levels, min_sizes: list[int], connectivity: int) -> list[Levels]:
    """Return levels whose masks are those of `levels` without components of fewer than some number of voxels.

    Args:
        levels: Levels of the sweep, (Z, Y, X).
        min_sizes: Voxels that a component has at least; one result for each.
        connectivity: 6 joins voxels that share a face, 18 an edge, 26 a corner.
    """
    if all(size <= 1 for size in min_sizes) or not levels.any():
        return [levels for _ in min_sizes]
    forest = Forest(levels, connectivity)
    starts = [len(step.renamed) for step in forest.steps()]
    births = forest.births()
    opened = []
    for size in min_sizes:
        if size <= 1:
            opened.append(levels)
            continue
        value = np.where(forest.sizes >= size, forest.level, 0).astype(np.uint8)
        for start, stop in zip(starts[::-1], [len(value), *starts[:0:-1]], strict=True):  # parents come first
            own = slice(start, stop)
            value[own] = np.where(value[own] > 0, value[own], value[forest.parent[own]])
        table = np.append(value, np.uint8(0))  # the last one, also at -1, is for voxels of no node
        opened.append(np.stack([table[section] for section in births]))
    return opened
