"""Predicted and annotated synapses are matched by their unions, and their sides compared."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connectomics.metrics.matching import MatchRule
from connectomics.metrics.polarity import PolarityDetection, detect_polarity

RAT = (30.0, 8.0, 8.0)
SHAPE = (4, 20, 60)


def draw(**synapses: tuple[int, int, int]) -> np.ndarray:
    """Ids of synapses `k1=(y, x, width)`: a bar of two sections, pre its left half and post its right one."""
    ids = np.zeros(SHAPE, np.uint64)
    for name, (y, x, width) in synapses.items():
        k = int(name[1:])
        ids[1:3, y : y + 4, x : x + width // 2] = 2 * k - 1
        ids[1:3, y : y + 4, x + width // 2 : x + width] = 2 * k
    return ids


def swapped(ids: np.ndarray) -> np.ndarray:
    return np.where(ids == 0, ids, np.where(ids % 2 == 1, ids + 1, ids - 1))


def detect(predicted: np.ndarray, truth: np.ndarray) -> PolarityDetection:
    return detect_polarity(predicted, truth, RAT)


def test_a_label_finds_itself_whatever_its_synapses_are_called() -> None:
    truth, predicted = draw(k1=(0, 0, 12), k2=(8, 30, 20)), draw(k9=(0, 0, 12), k4=(8, 30, 20))
    assert detect(predicted, truth).to_json() == {
        "f1": 1.0, "precision": 1.0, "recall": 1.0, "right_way_round": 1.0, "pre_iou": 1.0, "post_iou": 1.0,
        "matched": 2, "missed": 0, "invented": 0,
    }  # fmt: skip


def test_found_missed_and_invented_synapses_are_called_by_their_numbers() -> None:
    truth, predicted = draw(k3=(0, 0, 12), k7=(8, 30, 20)), draw(k5=(0, 0, 12), k2=(14, 30, 20))
    found = detect(predicted, truth).synapses
    assert [(match.predicted.id, match.annotated.id) for match in found.matched] == [(5, 3)]
    assert [synapse.id for synapse in found.missed] == [7]
    assert [synapse.id for synapse in found.invented] == [2]
    assert found.matched[0].predicted.centroid_nm == (1.5 * 30, 1.5 * 8, 5.5 * 8)
    assert (found.precision, found.recall, found.f1) == (0.5, 0.5, 0.5)


def test_sides_the_wrong_way_round_are_found_all_the_same_and_told() -> None:
    truth = draw(k1=(0, 0, 12), k2=(8, 30, 20))
    predicted = np.where(truth > 2, swapped(truth), truth)
    found = detect(predicted, truth)
    assert found.to_json()["f1"] == 1
    assert [pair.right_way_round for pair in found.sides] == [True, False]
    assert found.right_way_round == 0.5
    assert found.to_json()["pre_iou"] == found.to_json()["post_iou"] == 0.5


def test_the_iou_of_a_side_is_that_of_its_voxels_alone() -> None:
    truth, predicted = draw(k1=(0, 0, 20)), draw(k1=(0, 0, 20))
    predicted[1:3, 0:4, 8:10] = 2  # 16 voxels of pre become post
    (pair,) = detect(predicted, truth).sides
    assert pair.right_way_round
    assert (pair.pre_iou, pair.post_iou) == (64 / 80, 80 / 96)


def test_a_predicted_synapse_with_one_side_is_matched_and_is_not_the_right_way_round() -> None:
    truth = draw(k1=(0, 0, 20))
    (pair,) = detect(np.where(truth > 0, np.uint64(1), truth), truth).sides
    assert not pair.right_way_round
    assert (pair.pre_iou, pair.post_iou) == (0.5, 0.0)


def test_an_annotated_synapse_with_one_side_asks_for_that_side_only() -> None:
    truth = np.where(draw(k1=(0, 0, 20)) > 0, np.uint64(2), np.uint64(0))
    (same,) = detect(truth, truth).sides
    assert (same.right_way_round, same.pre_iou, same.post_iou) == (True, None, 1.0)
    assert not detect(swapped(truth), truth).sides[0].right_way_round
    assert detect(truth, truth).to_json()["pre_iou"] is None


def test_unions_match_at_an_overlap_of_exactly_one_half() -> None:
    truth = draw(k1=(0, 0, 20))
    assert len(detect(draw(k1=(0, 0, 10)), truth).synapses.matched) == 1
    assert len(detect(draw(k1=(0, 0, 9)), truth).synapses.matched) == 0
    assert len(detect_polarity(draw(k1=(0, 0, 9)), truth, RAT, MatchRule(strict_iou=0.4)).synapses.matched) == 1


def test_one_prediction_over_two_synapses_finds_at_most_one() -> None:
    truth = draw(k1=(0, 0, 20), k2=(0, 20, 12))
    predicted = np.where(truth > 0, (truth - 1) % 2 + 1, truth)
    found = detect(predicted, truth).synapses
    assert (len(found.matched), len(found.missed), len(found.invented)) == (1, 1, 0)


def test_sides_that_do_not_touch_are_one_synapse() -> None:
    truth = draw(k1=(0, 0, 20))
    truth[:, :, 8:12] = 0
    assert detect(truth, truth).to_json()["matched"] == 1


def test_without_a_match_nothing_is_said_of_sides() -> None:
    scores = detect(draw(), draw(k1=(0, 0, 12))).to_json()
    assert (scores["f1"], scores["recall"], scores["precision"]) == (0, 0, None)
    assert scores["right_way_round"] is scores["pre_iou"] is scores["post_iou"] is None
    assert detect(draw(), draw()).to_json()["f1"] is None


@pytest.mark.parametrize("dtype", [np.uint8, np.uint32, np.uint64])
def test_the_type_of_the_ids_does_not_matter(dtype: type) -> None:
    truth = draw(k1=(0, 0, 12), k127=(8, 30, 20))
    assert detect(truth.astype(dtype), truth).to_json() == detect(truth, truth).to_json()


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_sides_and_overlaps_equal_those_counted_one_by_one(seed: int) -> None:
    rng = np.random.default_rng(seed)
    truth = np.kron(rng.integers(0, 9, (2, 3, 4)), np.ones((2, 5, 5), int)).astype(np.uint64)
    moved = np.where(rng.random(truth.shape) < 0.25, rng.integers(0, 9, truth.shape).astype(np.uint64), truth)
    found = detect(moved, truth)
    for match, pair in zip(found.synapses.matched, found.sides, strict=True):
        p, t = match.predicted.id, match.annotated.id
        for side, iou in ((1, pair.pre_iou), (0, pair.post_iou)):
            ours, theirs = moved == 2 * p - side, truth == 2 * t - side
            either = (ours | theirs).sum()
            assert iou == ((ours & theirs).sum() / either if either else None)
        right = True
        for side in (1, 0):
            annotated = truth == 2 * t - side
            agree, differ = ((annotated & (moved == 2 * p - s)).sum() for s in (side, 1 - side))
            right &= not annotated.any() or agree > differ
        assert pair.right_way_round == right
