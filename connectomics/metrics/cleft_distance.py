"""The CREMI distance: how far predicted and annotated clefts lie from each other."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from connectomics.metrics.distance import DistanceCounts, measure_distances
from connectomics.metrics.pair import MaskPair

FAR_NM = 200.0
"""A predicted voxel strictly farther than this from every annotated one is a false positive; false negatives are
defined alike."""


@dataclass(frozen=True, slots=True)
class DistanceStats:
    """The distances of all voxels of one mask to the other mask, in nanometres."""

    mean: float
    std: float
    max: float
    median: float
    count: int

    @classmethod
    def of(cls, distances: DistanceCounts) -> DistanceStats:
        """Summarise the distances of one mask."""
        return cls(distances.mean(), distances.std(), distances.max(), distances.median(), distances.total)


@dataclass(frozen=True, slots=True)
class CleftDistance:
    """Both directions of the CREMI distance."""

    false_positives: DistanceStats
    """Distances from every predicted voxel, near or far, to the nearest annotated one."""
    false_negatives: DistanceStats
    """Distances from every annotated voxel to the nearest predicted one."""
    fp_count: int
    """How many predicted voxels are far from any annotated one."""
    fn_count: int
    """How many annotated voxels are far from any predicted one."""

    @property
    def adgt(self) -> float:
        """Average distance to the ground truth, in nanometres."""
        return self.false_positives.mean

    @property
    def adf(self) -> float:
        """Average distance from the ground truth, in nanometres."""
        return self.false_negatives.mean

    @property
    def score(self) -> float:
        """The mean of both, in nanometres; lower is better."""
        return (self.adgt + self.adf) / 2

    def to_json(self) -> dict[str, Any]:
        """Return the entry `cremi_distance` of `metrics.json`."""
        return {
            "score": self.score,
            "adgt": self.adgt,
            "adf": self.adf,
            "fp_count": self.fp_count,
            "fn_count": self.fn_count,
            "false_positive_stats": asdict(self.false_positives),
            "false_negative_stats": asdict(self.false_negatives),
        }


def measure_cleft_distance(pair: MaskPair, far_nm: float = FAR_NM) -> CleftDistance:
    """Measure how far predicted and annotated clefts lie from each other.

    Args:
        pair: The two masks.
        far_nm: Voxels strictly farther than this are counted as false, in nanometres.

    Raises:
        UndefinedError: If a mask is empty and no distance exists.

    Source:
        CREMI cleft evaluation, `cremi/evaluation/Clefts.py` of cremi/cremi_python.
    """
    pair.require_either()
    pair.require_predicted()
    pair.require_truth()
    to_truth = measure_distances(pair.predicted, pair.truth, pair.spacing_nm)
    to_predicted = measure_distances(pair.truth, pair.predicted, pair.spacing_nm)
    return summarise_distances(to_truth, to_predicted, far_nm)


def summarise_distances(
    to_truth: DistanceCounts, to_predicted: DistanceCounts, far_nm: float = FAR_NM
) -> CleftDistance:
    """Return the CREMI distance of all distances: of predicted voxels to annotated ones, and the other way round."""
    return CleftDistance(
        DistanceStats.of(to_truth),
        DistanceStats.of(to_predicted),
        to_truth.count_farther_than(far_nm),
        to_predicted.count_farther_than(far_nm),
    )
