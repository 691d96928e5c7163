"""Voxels that two masks share: Jaccard, Dice, precision, recall."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from connectomics.metrics.pair import MaskPair


@dataclass(frozen=True, slots=True)
class VoxelCounts:
    """How many voxels two masks hold; the scores raise ZeroDivisionError where none exists."""

    both: int
    predicted: int
    truth: int

    @property
    def jaccard(self) -> float:
        """Intersection over union, |P and T| / |P or T|."""
        return self.both / (self.predicted + self.truth - self.both)

    @property
    def dice(self) -> float:
        """The Dice coefficient, 2 |P and T| / (|P| + |T|)."""
        return 2 * self.both / (self.predicted + self.truth)

    @property
    def precision(self) -> float:
        """The share of predicted voxels that are annotated, |P and T| / |P|."""
        return self.both / self.predicted

    @property
    def recall(self) -> float:
        """The share of annotated voxels that are predicted, |P and T| / |T|."""
        return self.both / self.truth


def jaccard(pair: MaskPair) -> float:
    """Return intersection over union, |P and T| / |P or T|.

    Raises:
        UndefinedError: If both masks are empty.
    """
    pair.require_either()
    return count_voxels(pair).jaccard


def dice(pair: MaskPair) -> float:
    """Return the Dice coefficient, 2 |P and T| / (|P| + |T|).

    Raises:
        UndefinedError: If both masks are empty.
    """
    pair.require_either()
    return count_voxels(pair).dice


def precision(pair: MaskPair) -> float:
    """Return the share of predicted voxels that are annotated, |P and T| / |P|.

    Raises:
        UndefinedError: If no voxel is predicted.
    """
    pair.require_predicted()
    return count_voxels(pair).precision


def recall(pair: MaskPair) -> float:
    """Return the share of annotated voxels that are predicted, |P and T| / |T|.

    Raises:
        UndefinedError: If no voxel is annotated.
    """
    pair.require_truth()
    return count_voxels(pair).recall


def count_voxels(pair: MaskPair) -> VoxelCounts:
    """Return how many voxels are in both masks, predicted, annotated; section by section, to save memory."""
    both = sum(int(np.count_nonzero(p & t)) for p, t in zip(pair.predicted, pair.truth, strict=True))
    return VoxelCounts(both, int(np.count_nonzero(pair.predicted)), int(np.count_nonzero(pair.truth)))
