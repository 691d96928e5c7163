"""Probabilities as levels: how many of some thresholds each voxel reaches; all masks of a sweep in one byte a voxel."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from connectomics.geometry import ZYX, Box

Levels = NDArray[np.uint8]
"""The mask at threshold `i` (from 0, ascending) is where the level is more than `i`; (Z, Y, X)."""

MOST_THRESHOLDS = 255
"""Largest number of thresholds in one sweep, since a level must fit into a byte."""


def measure_levels(parts: Iterable[tuple[Box, NDArray[np.float32]]], shape: ZYX, thresholds: Sequence[float]) -> Levels:
    """Count for each voxel how many thresholds it reaches, as decoding compares them: in float32.

    Args:
        parts: Boxes, and the probabilities in them; together they are the volume.
        shape: Extent of the volume along (z, y, x), in voxels.
        thresholds: Ascending, at most 255.

    Raises:
        ValueError: If the thresholds are too many, or do not ascend.
    """
    edges = np.asarray(thresholds, np.float32)
    if not 0 < len(edges) <= MOST_THRESHOLDS or (np.diff(edges) <= 0).any():
        raise ValueError(f"thresholds must ascend, and be 1 to {MOST_THRESHOLDS}; there are {len(edges)}")
    levels = np.zeros(shape, np.uint8)
    for box, probability in parts:
        reached = probability >= edges[0]
        levels[box.slices][reached] = np.searchsorted(edges, probability[reached], side="right")
    return levels
