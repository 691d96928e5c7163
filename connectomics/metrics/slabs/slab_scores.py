"""The scores of a volume that does not fit into the memory."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from connectomics.metrics.cleft_distance import summarise_distances
from connectomics.metrics.matching import MatchRule, match_overlaps
from connectomics.metrics.metric import Score
from connectomics.metrics.pair import UndefinedError
from connectomics.metrics.slabs.reaching import DistanceTally
from connectomics.metrics.slabs.survey import Survey


@dataclass(frozen=True, slots=True, eq=False)
class Distances:
    """All distances between the two masks of a volume."""

    to_truth: DistanceTally
    """Of every predicted voxel to the nearest annotated one."""
    to_predicted: DistanceTally
    nearest_nm: NDArray[np.float64] | None
    """For each predicted object, how far its nearest voxel is from an annotated one, in nm, (N,); None without any."""


def measure_slabs(survey: Survey) -> Distances:
    """Measure all distances of a volume with a label, slab by slab."""
    volume, to_truth, to_predicted = survey.volume, survey.to_truth(), survey.to_predicted()
    found, back = DistanceTally(to_truth), DistanceTally(to_predicted)
    nearest = np.full(len(survey.judged.both.predicted), np.inf)
    for slab, (start, stop) in enumerate(volume.slabs):
        predicted = volume.predicted(start, stop)
        squared = to_truth.squared(start, predicted)
        found.add(squared)
        owners = survey.ids[survey.joined.again(slab, predicted)[predicted]]
        np.minimum.at(nearest, owners - 1, squared)
        assert volume.truth is not None
        back.add(to_predicted.squared(start, volume.truth(start, stop)))
    has_truth = survey.counts.truth > 0
    return Distances(found, back, np.sqrt(nearest) * to_truth.lattice.unit_nm if has_truth else None)


def score_slabs(survey: Survey, distances: Distances, names: Iterable[str], rule: MatchRule) -> dict[str, Any]:
    """Score one volume; see `metrics.score_volume`, whose result this is, for the names in `BY_SLABS`."""
    scores: dict[str, Any] = {}
    for name in names:
        try:
            scores[name] = BY_SLABS[name](survey, distances, rule)
        except UndefinedError as reason:
            scores |= {name: None, f"{name}_undefined": str(reason)}
    return scores


def _jaccard(survey: Survey, distances: Distances, rule: MatchRule) -> Score:
    survey.judged.pair.masks.require_either()
    return survey.counts.jaccard


def _dice(survey: Survey, distances: Distances, rule: MatchRule) -> Score:
    survey.judged.pair.masks.require_either()
    return survey.counts.dice


def _precision(survey: Survey, distances: Distances, rule: MatchRule) -> Score:
    survey.judged.pair.masks.require_predicted()
    return survey.counts.precision


def _recall(survey: Survey, distances: Distances, rule: MatchRule) -> Score:
    survey.judged.pair.masks.require_truth()
    return survey.counts.recall


def _detection(survey: Survey, distances: Distances, rule: MatchRule) -> Score:
    survey.judged.pair.masks.require_either()
    return survey.judged.to_json()


def _strict_f1(survey: Survey, distances: Distances, rule: MatchRule) -> Score:
    survey.judged.pair.masks.require_either()
    both = survey.judged.both
    f1 = match_overlaps(*survey.overlaps, both.predicted, both.truth, rule).f1
    assert f1 is not None  # a mask that is not empty has a component
    return f1


def _cremi_distance(survey: Survey, distances: Distances, rule: MatchRule) -> Score:
    masks = survey.judged.pair.masks
    masks.require_either()
    masks.require_predicted()
    masks.require_truth()
    return summarise_distances(distances.to_truth.counts(), distances.to_predicted.counts()).to_json()


BY_SLABS: Mapping[str, Callable[[Survey, Distances, MatchRule], Score]] = {
    "cremi_distance": _cremi_distance,
    "jaccard": _jaccard,
    "dice": _dice,
    "precision": _precision,
    "recall": _recall,
    "synapse_detection": _detection,
    "synapse_f1": _strict_f1,
}
"""Names of metrics to how they score a volume slab by slab."""
