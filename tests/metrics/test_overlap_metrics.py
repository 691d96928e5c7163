"""Jaccard, Dice, precision and recall count voxels."""

from __future__ import annotations

import numpy as np
import pytest

from connectomics.metrics import MaskPair, UndefinedError
from connectomics.metrics.overlap import dice, jaccard, precision, recall

CREMI = (40.0, 4.0, 4.0)
NOTHING = np.zeros((2, 4, 5), bool)


def draw_pair(seed: int) -> MaskPair:
    predicted, truth = np.random.default_rng(seed).random((2, 3, 6, 7)) < 0.4
    return MaskPair(predicted, truth, CREMI)


@pytest.mark.parametrize("seed", range(5))
def test_the_four_are_functions_of_the_same_three_counts(seed: int) -> None:
    pair = draw_pair(seed)
    both = (pair.predicted & pair.truth).sum()
    assert jaccard(pair) == both / (pair.predicted | pair.truth).sum()
    assert precision(pair) == both / pair.predicted.sum()
    assert recall(pair) == both / pair.truth.sum()
    assert dice(pair) == pytest.approx(2 * jaccard(pair) / (1 + jaccard(pair)))
    assert dice(pair) == pytest.approx(2 / (1 / precision(pair) + 1 / recall(pair)))


def test_a_mask_agrees_with_itself_entirely_and_with_its_complement_not_at_all() -> None:
    truth = draw_pair(0).truth
    for metric in (jaccard, dice, precision, recall):
        assert metric(MaskPair(truth, truth, CREMI)) == 1
        assert metric(MaskPair(~truth, truth, CREMI)) == 0


def test_excluded_voxels_are_left_out() -> None:
    pair = draw_pair(1)
    annotated = pair.predicted == pair.truth
    assert jaccard(MaskPair(pair.predicted, pair.truth, CREMI, annotated)) == 1


@pytest.mark.parametrize("metric", [jaccard, dice, precision, recall])
def test_two_empty_masks_have_no_score(metric) -> None:
    with pytest.raises(UndefinedError, match="no voxel is"):
        metric(MaskPair(NOTHING, NOTHING, CREMI))


def test_one_empty_mask_scores_zero_where_a_share_exists() -> None:
    found_nothing, nothing_there = MaskPair(NOTHING, ~NOTHING, CREMI), MaskPair(~NOTHING, NOTHING, CREMI)
    for metric in (jaccard, dice):
        assert metric(found_nothing) == metric(nothing_there) == 0
    assert recall(found_nothing) == precision(nothing_there) == 0
    with pytest.raises(UndefinedError, match="no voxel is predicted"):
        precision(found_nothing)
    with pytest.raises(UndefinedError, match="no voxel is annotated"):
        recall(nothing_there)
