"""Voxels that two masks share: Jaccard, Dice, precision, recall."""

from __future__ import annotations

import numpy as np

from connectomics.metrics.pair import MaskPair


def jaccard(pair: MaskPair) -> float:
    """Return intersection over union, |P and T| / |P or T|.

    Raises:
        UndefinedError: If both masks are empty.
    """
    pair.require_either()
    both, predicted, truth = _count_voxels(pair)
    return both / (predicted + truth - both)


def dice(pair: MaskPair) -> float:
    """Return the Dice coefficient, 2 |P and T| / (|P| + |T|).

    Raises:
        UndefinedError: If both masks are empty.
    """
    pair.require_either()
    both, predicted, truth = _count_voxels(pair)
    return 2 * both / (predicted + truth)


def precision(pair: MaskPair) -> float:
    """Return the share of predicted voxels that are annotated, |P and T| / |P|.

    Raises:
        UndefinedError: If no voxel is predicted.
    """
    pair.require_predicted()
    both, predicted, _ = _count_voxels(pair)
    return both / predicted


def recall(pair: MaskPair) -> float:
    """Return the share of annotated voxels that are predicted, |P and T| / |T|.

    Raises:
        UndefinedError: If no voxel is annotated.
    """
    pair.require_truth()
    both, _, truth = _count_voxels(pair)
    return both / truth


def _count_voxels(pair: MaskPair) -> tuple[int, int, int]:
    """Return how many voxels are in both masks, predicted, annotated; section by section, to save memory."""
    both = sum(int(np.count_nonzero(p & t)) for p, t in zip(pair.predicted, pair.truth, strict=True))
    return both, int(np.count_nonzero(pair.predicted)), int(np.count_nonzero(pair.truth))
