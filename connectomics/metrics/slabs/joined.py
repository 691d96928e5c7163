"""Connected components of a mask that comes slab by slab, with the ids that they have in the whole volume."""

from __future__ import annotations

from itertools import product
from typing import final

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from connectomics.geometry import Connectivity
from connectomics.metrics.components import label_mask
from connectomics.metrics.pair import Mask


@final
class JoinedComponents:
    """Numbers the components of each slab on its own, and joins those that touch across the face between two slabs.

    The first pass adds all slabs in order; ids of the whole volume are known after it, and a second pass gives each
    slab its own. They are those of `components.label_mask`: in the order of the components' first voxels.
    """

    def __init__(self, connectivity: Connectivity) -> None:
        self._connectivity = connectivity
        self._before = [0]  # components of all slabs before each
        self._pairs: list[NDArray[np.int64]] = [np.zeros((0, 2), np.int64)]
        self._last: NDArray[np.int64] | None = None  # numbers of the last section, (Y, X)

    def add(self, mask: Mask) -> NDArray[np.int64]:
        """Take the next slab, bool (n, Y, X); return a number for each voxel, from 1, 0 outside of the mask.

        Each number belongs to one slab; several of one component become one id when all slabs are known.
        """
        ids, number = label_mask(mask, self._connectivity)
        numbers = ids.astype(np.int64)
        numbers[numbers > 0] += self._before[-1]
        self._before.append(self._before[-1] + number)
        if self._last is not None:
            self._pairs.append(_touching(self._last, numbers[0], self._connectivity))
        self._last = numbers[-1].copy()
        return numbers

    def numbers_of(self, slab: int) -> slice:
        """Return which numbers a slab has."""
        return slice(self._before[slab] + 1, self._before[slab + 1] + 1)

    def ids(self) -> NDArray[np.int64]:
        """Return the id in the whole volume of every number, 0 for 0, (numbers + 1,)."""
        total, pairs = self._before[-1], np.concatenate(self._pairs)
        graph = coo_array((np.ones(len(pairs), np.uint8), (pairs[:, 0], pairs[:, 1])), (total + 1, total + 1))
        _, group = connected_components(graph, directed=False)
        # Numbers ascend with first voxels, so a group's smallest number is the place of its component.
        _, first, inverse = np.unique(group, return_index=True, return_inverse=True)
        rank = np.empty(len(first), np.int64)
        rank[np.argsort(first)] = np.arange(len(first))
        return rank[inverse]

    def again(self, slab: int, mask: Mask) -> NDArray[np.int64]:
        """Return the numbers of a slab that was added before."""
        ids, _ = label_mask(mask, self._connectivity)
        numbers = ids.astype(np.int64)
        numbers[numbers > 0] += self._before[slab]
        return numbers


def _touching(above: NDArray[np.int64], below: NDArray[np.int64], connectivity: Connectivity) -> NDArray[np.int64]:
    """Return the distinct pairs of numbers that touch across the face between two sections, (N, 2)."""
    farthest = {6: 0, 18: 1, 26: 2}[connectivity]
    found = [np.zeros((0, 2), np.int64)]
    for dy, dx in product((-1, 0, 1), repeat=2):
        if abs(dy) + abs(dx) <= farthest:
            a = above[max(0, -dy) : len(above) - max(0, dy), max(0, -dx) : above.shape[1] - max(0, dx)]
            b = below[max(0, dy) : len(below) - max(0, -dy), max(0, dx) : below.shape[1] - max(0, -dx)]
            both = (a > 0) & (b > 0)
            found.append(np.unique(np.stack([a[both], b[both]], axis=1), axis=0))
    return np.unique(np.concatenate(found), axis=0)
