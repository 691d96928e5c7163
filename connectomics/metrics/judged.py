"""The objects of a volume beside the annotated ones: labelled once, for scores, tables, picture and page."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from connectomics.geometry import Connectivity, Spacing
from connectomics.metrics.components import PairComponents, pair_components, speck_size
from connectomics.metrics.label_pair import LabelPair, Labels
from connectomics.metrics.matching import MatchRule, match_components
from connectomics.metrics.outcomes import Outcome, Outcomes, judge_outcomes
from connectomics.metrics.polarity import pair_sides


@dataclass(frozen=True, slots=True, eq=False)
class Judged:
    """The objects of a volume, and what became of each."""

    pair: LabelPair
    """The labels that they were taken from; without a label, `truth` is empty."""
    both: PairComponents
    outcomes: Outcomes | None
    """None without a label."""
    right_way_round: NDArray[np.object_]
    """For each predicted object, whether its sides agree with those of its partner: bool where it has sides and is
    found or poorly outlined, else None, (P,)."""

    def to_json(self) -> dict[str, Any]:
        """Return the entry `synapse_detection` of `metrics.json`, with the specks among the predicted objects.

        A speck is smaller than a tenth of the median size of the annotated objects.

        Raises:
            ValueError: If nobody annotated anything here.
        """
        if self.outcomes is None:
            raise ValueError("without an annotation nothing became of the objects")
        sizes, annotated = self.both.predicted.voxels, self.both.truth.voxels
        least = speck_size(annotated)
        specks = {"speck_voxels": least, "specks": int(np.count_nonzero(sizes < least))}
        return self.outcomes.to_json() | specks

    @property
    def turned(self) -> NDArray[np.bool_]:
        """Which predicted objects are in the right place with their sides the wrong way round, (P,)."""
        return np.array([right is False for right in self.right_way_round], np.bool_)


def pair_objects(pair: LabelPair, connectivity: Connectivity) -> PairComponents:
    """Return the objects of a pair, labelled when first asked for: synapses with sides, or components.

    Args:
        pair: The labels.
        connectivity: What joins the voxels of a component; objects with sides have ids already.
    """
    return pair_sides(pair).both if pair.sided else pair_components(pair.masks, connectivity)


def judge(pair: LabelPair, rule: MatchRule) -> Judged:
    """Tell what became of each object of a pair."""
    both = pair_objects(pair, rule.connectivity)
    outcomes = judge_outcomes(both.predicted, both.truth, rule)
    return Judged(pair, both, outcomes, _compare_sides(pair, outcomes))


def list_objects(labels: Labels, spacing_nm: Spacing, sided: bool, rule: MatchRule) -> Judged:
    """Return the objects of a volume that nobody annotated.

    Args:
        labels: What was found, 0 for the background, (Z, Y, X).
        spacing_nm: Voxel size along (z, y, x), in nanometres.
        sided: Whether the labels are ids of sides.
        rule: How voxels of one object are joined.
    """
    pair = LabelPair(labels, np.broadcast_to(np.False_, labels.shape), spacing_nm, sided=sided)
    both = pair_objects(pair, rule.connectivity)
    return Judged(pair, both, None, np.full(len(both.predicted), None, object))


def synapse_detection(pair: LabelPair, rule: MatchRule | None = None) -> dict[str, Any]:
    """Return precision, recall and F1 of detection by overlap, with the counts of every outcome.

    Detection asks whether a synapse was found at all: a thin cleft whose outline is off by two pixels on each side
    overlaps by an IoU of 0.4 only, and is detected. `synapse_f1` is the strict counterpart. What tuning goes by is
    `Outcomes.one_to_one_f1`, which no merger and no crumbs can win.

    Raises:
        UndefinedError: If both masks are empty.
    """
    pair.masks.require_either()
    return judge(pair, rule or MatchRule()).to_json()


def synapse_f1(pair: LabelPair, rule: MatchRule | None = None) -> float:
    """Return the strict F1 score of detection: objects are matched one to one from `MatchRule.strict_iou` on.

    Raises:
        UndefinedError: If both masks are empty.
    """
    pair.masks.require_either()
    rule = rule or MatchRule()
    both = pair_objects(pair, rule.connectivity)
    f1 = match_components(both.predicted, both.truth, rule).f1
    assert f1 is not None  # a mask that is not empty has a component
    return f1


def mark_outcomes(judged: Judged) -> NDArray[np.uint8]:
    """Return what became of each voxel's object, (Z, Y, X): its place in `Outcome`, from 1; 0 where there is no object.

    Of annotated objects only the missed ones are marked, since something predicted lies on all others.
    """
    assert judged.outcomes is not None
    words, both = list(Outcome), judged.both
    codes = [
        np.array([0, *(words.index(word) + 1 for word in own)], np.uint8)
        for own in (judged.outcomes.predicted, judged.outcomes.annotated)
    ]
    missed = words.index(Outcome.MISSED) + 1
    codes[1][codes[1] != missed] = 0
    return np.maximum(codes[0][both.predicted_ids], codes[1][both.truth_ids])


def _compare_sides(pair: LabelPair, outcomes: Outcomes) -> NDArray[np.object_]:
    """Return whether the sides of each predicted object, one beside one annotated, are the right way round."""
    right = np.full(len(outcomes.predicted), None, object)
    if pair.sided:
        sides = pair_sides(pair)
        alone = (outcomes.predicted == Outcome.FOUND) | (outcomes.predicted == Outcome.POORLY_OUTLINED)
        for i in np.flatnonzero(alone):
            right[i] = sides.compare(int(i), int(outcomes.joined.truth[outcomes.partner[i]])).right_way_round
    return right
