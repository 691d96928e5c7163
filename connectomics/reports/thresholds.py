"""Voxel scores at many thresholds, from one pass over the probabilities."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import final

import numpy as np
from numpy.typing import NDArray

Curves = Mapping[float, Mapping[str, float | None]]
"""Scores by threshold and name; None where one is undefined."""

COARSE = tuple(round(0.05 * i, 2) for i in range(1, 20))
"""Thresholds from 0.05 to 0.95."""


@final
class ThresholdSweep:
    """Counts voxels above each threshold, in and out of the annotated clefts; exact, whatever the threshold."""

    def __init__(self, thresholds: Iterable[float]) -> None:
        """Prepare to count at some thresholds; a voxel of at least that probability is predicted."""
        self._thresholds = sorted(set(thresholds))
        self._edges = np.array(self._thresholds, np.float32)
        self._inside = np.zeros(len(self._edges), np.int64)  # predicted and annotated as cleft
        self._predicted = np.zeros(len(self._edges), np.int64)
        self._annotated = 0

    def add(self, probability: NDArray[np.float32], truth: NDArray[np.bool_], counts: NDArray[np.bool_] | None) -> None:
        """Take in a part of a volume.

        Args:
            probability: As in the mask: what is compared is float32.
            truth: Voxels annotated as cleft, bool, same shape.
            counts: Voxels that count, bool, same shape; None when all of them do.
        """
        seen = probability >= self._edges[0]
        if counts is not None:
            seen &= counts
            truth = truth & counts
        self._predicted += self._count(probability[seen])
        self._inside += self._count(probability[seen & truth])
        self._annotated += int(truth.sum())

    def _count(self, probability: NDArray[np.float32]) -> NDArray[np.int64]:
        """Return how many voxels reach each threshold."""
        passed = np.searchsorted(self._edges, probability, side="right")
        at = np.bincount(passed, minlength=len(self._edges) + 1)[1:]
        return at[::-1].cumsum()[::-1]

    def curves(self) -> dict[float, dict[str, float | None]]:
        """Return Jaccard index, precision and recall at each threshold."""
        counted = zip(self._thresholds, self._inside.tolist(), self._predicted.tolist(), strict=True)
        return {
            threshold: {
                "jaccard": _share(inside, predicted + self._annotated - inside),
                "precision": _share(inside, predicted),
                "recall": _share(inside, self._annotated),
            }
            for threshold, inside, predicted in counted
        }


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None
