"""What became of each synapse: found, poorly outlined, merged, split, missed or invented."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from connectomics.metrics.components import Components
from connectomics.metrics.matching import ComponentPairs, MatchRule, count_one_to_one, find_joined


class Outcome(StrEnum):
    """What became of a predicted or annotated object."""

    FOUND = "found"
    """One predicted object on one annotated one, alike in outline: a true positive."""
    POORLY_OUTLINED = "poorly outlined"
    """One predicted object on one annotated one, less alike in outline than the rule asks: still a true positive of
    detection."""
    MERGED = "merged"
    """One predicted object over several annotated ones, all of which count as detected."""
    SPLIT = "split"
    """Several predicted objects on one annotated one, which is detected once; none of them is a false positive."""
    MISSED = "missed"
    """An annotated object that nothing predicted touches: a false negative."""
    INVENTED = "invented"
    """A predicted object that touches nothing annotated: a false positive."""

    @property
    def key(self) -> str:
        """Its name in JSON."""
        return self.value.replace(" ", "_")


@dataclass(frozen=True, slots=True, eq=False)
class Outcomes:
    """What became of every object of a prediction and of an annotation.

    Attributes:
        predicted: Outcome of each predicted component, component `i + 1` at index i, (P,).
        annotated: Outcome of each annotated component, component `i + 1` at index i, (A,).
        joined: All pairs of a predicted and an annotated component that belong together.
        partner: For each predicted component, the place in `joined` of the annotated one that it shares most voxels
            with, or lies closest to where it shares none; -1 without any, (P,).
    """

    predicted: NDArray[np.object_]
    annotated: NDArray[np.object_]
    joined: ComponentPairs
    partner: NDArray[np.int64]

    @property
    def precision(self) -> float | None:
        """Share of the predicted objects that are joined with an annotated one; None when nothing is predicted."""
        return _share(self.predicted != Outcome.INVENTED)

    @property
    def recall(self) -> float | None:
        """Share of the annotated objects that are joined with a predicted one; None when nothing is annotated."""
        return _share(self.annotated != Outcome.MISSED)

    @property
    def f1(self) -> float | None:
        """Harmonic mean of precision and recall; 0 where either is 0 or does not exist, None where neither exists."""
        precision, recall = self.precision, self.recall
        if precision is None and recall is None:
            return None
        return 2 * precision * recall / (precision + recall) if precision and recall else 0.0

    @property
    def one_to_one_f1(self) -> float | None:
        """F1 in which every object counts once: 2 M / (predicted + annotated); None when there is no object.

        M is the largest number of pairs that overlap and in which each object takes part once at most. `f1` says
        whether synapses were noticed, and cannot decide between masks: one object over everything has an F1 of 1, and
        so have ten crumbs on each synapse. Here the first counts as one synapse found and all others missed, the second
        as nine inventions for each one found. A setting that is best by this number counts synapses best.
        """
        objects = len(self.predicted) + len(self.annotated)
        return 2 * count_one_to_one(self.joined) / objects if objects else None

    def count(self, outcome: Outcome) -> int:
        """Return how often something came of it: predicted objects that are merged or invented, else annotated ones.

        A merger is one predicted object, however many annotated ones it covers; a split one annotated object, however
        many pieces lie on it.
        """
        own = self.predicted if outcome in (Outcome.MERGED, Outcome.INVENTED) else self.annotated
        return int(np.count_nonzero(own == outcome))

    @property
    def detected(self) -> int:
        """Number of annotated objects that anything predicted belongs to."""
        return len(self.annotated) - self.count(Outcome.MISSED)

    def to_json(self) -> dict[str, Any]:
        """Return the entry `synapse_detection` of `metrics.json`.

        `merged` counts the predicted objects that lie over several annotated ones, `split` the annotated objects that
        several predicted ones lie on.
        """
        return {
            "f1": self.f1,
            "precision": self.precision,
            "recall": self.recall,
            "one_to_one_f1": self.one_to_one_f1,
            "predicted": len(self.predicted),
            "annotated": len(self.annotated),
            "detected": self.detected,
            **{outcome.key: self.count(outcome) for outcome in Outcome},
        }


def judge_outcomes(predicted: Components, truth: Components, rule: MatchRule) -> Outcomes:
    """Tell what became of each component.

    Components are joined wherever they share a voxel, or where their centres lie within `rule.max_distance_nm`. In a
    chain, where an annotated object is both covered by a merger and split, it counts as merged.

    Args:
        predicted: The predicted components; `shared` holds the voxels that are annotated too.
        truth: The annotated ones, likewise.
        rule: Which outlines are alike (`min_iou`), and how close centres are joined.
    """
    return judge_joined(find_joined(predicted, truth, rule), predicted, truth, rule)


def judge_joined(joined: ComponentPairs, predicted: Components, truth: Components, rule: MatchRule) -> Outcomes:
    """Tell what became of each component, where it is known which pairs belong together; see `judge_outcomes`."""
    over = np.bincount(joined.predicted, minlength=len(predicted))  # annotated objects that each predicted one joins
    under = np.bincount(joined.truth, minlength=len(truth))
    merges, splits = over[joined.predicted] > 1, under[joined.truth] > 1
    plain = np.where(joined.iou >= rule.min_iou, Outcome.FOUND, Outcome.POORLY_OUTLINED).astype(object)
    word = np.where(merges, Outcome.MERGED, np.where(splits, Outcome.SPLIT, plain)).astype(object)
    of_predicted = np.full(len(predicted), Outcome.INVENTED, object)
    of_truth = np.full(len(truth), Outcome.MISSED, object)
    of_predicted[joined.predicted] = word
    of_truth[joined.truth] = word
    of_truth[joined.truth[merges]] = Outcome.MERGED
    partner = np.full(len(predicted), -1, np.int64)
    best_last = np.lexsort((-joined.distance_nm, joined.iou, joined.shared))
    partner[joined.predicted[best_last]] = best_last
    return Outcomes(of_predicted, of_truth, joined, partner)


def _share(joined: NDArray[np.bool_]) -> float | None:
    return float(joined.mean()) if len(joined) else None
