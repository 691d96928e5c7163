"""What is counted of objects slab by slab, and adds up."""

from __future__ import annotations

from typing import final

import numpy as np
from numpy.typing import NDArray

from connectomics.geometry import Spacing
from connectomics.metrics.components import Components


@final
class Tally:
    """Sizes, places and boxes of objects whose parts have numbers of their own; see `JoinedComponents`."""

    def __init__(self) -> None:
        self._voxels: list[NDArray[np.int64]] = []
        self._sums: list[NDArray[np.float64]] = []
        self._first: list[NDArray[np.int64]] = []
        self._last: list[NDArray[np.int64]] = []

    def add(self, z: int, numbers: NDArray[np.int64], own: slice) -> None:
        """Count a slab, (n, Y, X), whose first section is `z`; `own` are the numbers that it has."""
        places = np.nonzero(numbers)
        owners, count = numbers[places] - own.start, own.stop - own.start
        self._voxels.append(np.bincount(owners, minlength=count))
        at = [places[0] + z, places[1], places[2]]
        self._sums.append(np.stack([np.bincount(owners, weights=one, minlength=count) for one in at], axis=1))
        first, last = np.full((count, 3), np.iinfo(np.int64).max), np.full((count, 3), -1)
        for axis, one in enumerate(at):
            np.minimum.at(first[:, axis], owners, one)
            np.maximum.at(last[:, axis], owners, one)
        self._first.append(first)
        self._last.append(last)

    def components(self, ids: NDArray[np.int64], spacing_nm: Spacing) -> Components:
        """Return the objects, by the id of each number; where they overlap others is not among it."""
        number = int(ids.max(initial=0))
        voxels, sums = np.zeros(number, np.int64), np.zeros((number, 3))
        np.add.at(voxels, ids[1:] - 1, _joined(self._voxels, (0,)))
        np.add.at(sums, ids[1:] - 1, _joined(self._sums, (0, 3)))
        centroids = sums / np.maximum(voxels, 1)[:, None] * np.asarray(spacing_nm)
        return Components((), voxels, centroids, np.arange(1, number + 1))

    def boxes(self, ids: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return the first and the last voxel of the box around each object, (N, 3) as (z, y, x)."""
        number = int(ids.max(initial=0))
        first, last = np.full((number, 3), np.iinfo(np.int64).max), np.full((number, 3), -1)
        np.minimum.at(first, ids[1:] - 1, _joined(self._first, (0, 3)))
        np.maximum.at(last, ids[1:] - 1, _joined(self._last, (0, 3)))
        return first, last


@final
class Overlaps:
    """How many voxels each predicted object shares with each annotated one."""

    def __init__(self) -> None:
        self._pairs: list[NDArray[np.int64]] = [np.zeros((0, 2), np.int64)]
        self._counts: list[NDArray[np.int64]] = [np.zeros(0, np.int64)]

    def add(self, predicted: NDArray[np.int64], truth: NDArray[np.int64]) -> None:
        """Count a slab of numbers of both, (n, Y, X)."""
        both = (predicted > 0) & (truth > 0)
        pairs, counts = np.unique(np.stack([predicted[both], truth[both]], axis=1), axis=0, return_counts=True)
        self._pairs.append(pairs.reshape(-1, 2))
        self._counts.append(counts)

    def keys(self, predicted: NDArray[np.int64], truth: NDArray[np.int64]) -> tuple[NDArray, NDArray]:
        """Return `keys` and `shared` of `matching.count_matches`, from the ids of the numbers of both."""
        pairs, counts = np.concatenate(self._pairs), np.concatenate(self._counts)
        annotated = max(1, int(truth.max(initial=0)))
        keys = (predicted[pairs[:, 0]] - 1) * annotated + truth[pairs[:, 1]] - 1
        distinct, where = np.unique(keys, return_inverse=True)
        shared = np.zeros(len(distinct), np.int64)
        np.add.at(shared, where, counts)
        return distinct, shared


def _joined(parts: list[NDArray], empty: tuple[int, ...]) -> NDArray:
    return np.concatenate(parts) if parts else np.zeros(empty)
