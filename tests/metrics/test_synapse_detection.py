"""Predicted and annotated synapses are matched one to one."""

from __future__ import annotations

from itertools import permutations

import cc3d
import numpy as np
import pytest

from connectomics.metrics import LabelPair, MaskPair, UndefinedError
from connectomics.metrics.components import pair_components
from connectomics.metrics.judged import synapse_f1
from connectomics.metrics.matching import MatchRule, SynapseDetection, match_components

CREMI = (40.0, 4.0, 4.0)
SHAPE = (6, 40, 60)


def detect_synapses(pair: MaskPair, rule: MatchRule | None = None) -> SynapseDetection:
    rule = rule or MatchRule()
    both = pair_components(pair, rule.connectivity)
    return match_components(both.predicted, both.truth, rule)


def draw(*boxes: tuple[int, int, int, int, int, int]) -> np.ndarray:
    mask = np.zeros(SHAPE, bool)
    for z0, z1, y0, y1, x0, x1 in boxes:
        mask[z0:z1, y0:y1, x0:x1] = True
    return mask


def test_found_missed_and_invented_synapses_are_listed_with_size_and_place() -> None:
    truth = draw((1, 3, 5, 10, 5, 15), (3, 5, 30, 34, 40, 50))
    predicted = draw((1, 3, 5, 10, 6, 16), (0, 1, 20, 24, 20, 24))
    found = detect_synapses(MaskPair(predicted, truth, CREMI))
    (match,), (missed,), (invented,) = found.matched, found.missed, found.invented
    assert match.iou == 90 / 110
    assert match.distance_nm == pytest.approx(4)
    assert (match.predicted.voxels, match.annotated.voxels) == (100, 100)
    assert (missed.voxels, missed.centroid_nm) == (80, (3.5 * 40, 31.5 * 4, 44.5 * 4))
    assert (invented.voxels, invented.centroid_nm) == (16, (0, 21.5 * 4, 21.5 * 4))
    assert (found.precision, found.recall, found.f1) == (0.5, 0.5, 0.5)


def test_overlap_at_exactly_the_limit_is_enough() -> None:
    truth, predicted = draw((0, 1, 0, 1, 0, 3)), draw((0, 1, 0, 1, 1, 4))  # 2 shared of 4
    assert synapse_f1(LabelPair(predicted, truth, CREMI), MatchRule(strict_iou=0.5)) == 1
    assert synapse_f1(LabelPair(predicted, truth, CREMI), MatchRule(strict_iou=0.51)) == 0


def test_centroids_at_exactly_the_limit_are_close_enough_without_any_overlap() -> None:
    truth, predicted = draw((0, 1, 0, 2, 0, 2)), draw((0, 1, 0, 2, 10, 12))
    pair = LabelPair(predicted, truth, CREMI)
    assert synapse_f1(pair, MatchRule(max_distance_nm=40)) == 1
    assert synapse_f1(pair, MatchRule(max_distance_nm=39.9)) == 0
    assert synapse_f1(LabelPair(truth, truth, CREMI), MatchRule(max_distance_nm=0)) == 1


def test_one_prediction_over_two_synapses_finds_only_one_of_them() -> None:
    truth = draw((0, 1, 0, 4, 0, 10), (0, 1, 0, 4, 11, 18))
    predicted = draw((0, 1, 0, 4, 0, 18))
    found = detect_synapses(MaskPair(predicted, truth, CREMI), MatchRule(strict_iou=0.1))
    assert [match.annotated.voxels for match in found.matched] == [40]
    assert (len(found.missed), len(found.invented)) == (1, 0)


def test_as_many_as_possible_are_matched_even_if_one_pair_would_overlap_more() -> None:
    truth = draw((0, 1, 0, 1, 0, 10), (0, 1, 0, 1, 11, 16))
    predicted = draw((0, 1, 0, 1, 6, 16), (0, 1, 2, 3, 0, 10))  # the first touches both, the second is near one
    rule = MatchRule(strict_iou=0.2, max_distance_nm=10)
    found = detect_synapses(MaskPair(predicted, truth, CREMI), rule)
    assert len(found.matched) == 2


@pytest.mark.parametrize("seed", range(6))
def test_no_other_one_to_one_assignment_matches_more_or_overlaps_more(seed: int) -> None:
    rng = np.random.default_rng(seed)
    masks = []
    for _ in range(2):
        corners = rng.integers(0, (4, 30, 50), (5, 3))
        masks.append(draw(*((z, z + 2, y, y + 9, x, x + 9) for z, y, x in corners.tolist())))
    pair, rule = MaskPair(*masks, CREMI), MatchRule(strict_iou=0.02)
    predicted, truth = (cc3d.connected_components(mask, connectivity=26) for mask in masks)
    iou = np.array(
        [
            [((predicted == p) & (truth == t)).sum() / ((predicted == p) | (truth == t)).sum()
             for t in range(1, truth.max() + 1)]
            for p in range(1, predicted.max() + 1)
        ]
    )  # fmt: skip
    iou = np.where(iou >= rule.strict_iou, iou, 0)
    iou = iou if len(iou) <= len(iou.T) else iou.T
    chosen = [iou[range(len(iou)), columns] for columns in permutations(range(len(iou.T)), len(iou))]
    best = max(((gain > 0).sum(), gain.sum()) for gain in chosen)
    found = detect_synapses(pair, rule)
    assert len(found.matched) == best[0]
    assert sum(match.iou for match in found.matched) == pytest.approx(best[1])


def test_voxels_that_share_a_corner_are_one_synapse_unless_the_rule_says_otherwise() -> None:
    truth = draw((0, 1, 0, 1, 0, 1), (1, 2, 1, 2, 1, 2))
    pair = MaskPair(truth, truth, CREMI)
    assert len(detect_synapses(pair).matched) == 1
    assert len(detect_synapses(pair, MatchRule(connectivity=6)).matched) == 2


def test_without_any_synapse_there_is_no_score_and_with_one_missing_it_is_zero() -> None:
    nothing, something = draw(), draw((0, 1, 0, 4, 0, 4))
    with pytest.raises(UndefinedError, match="no voxel is predicted, and none"):
        synapse_f1(LabelPair(nothing, nothing, CREMI))
    assert synapse_f1(LabelPair(something, nothing, CREMI)) == 0
    assert synapse_f1(LabelPair(nothing, something, CREMI), MatchRule(max_distance_nm=100)) == 0
    found = detect_synapses(MaskPair(nothing, nothing, CREMI))
    assert (found.precision, found.recall, found.f1) == (None, None, None)


@pytest.mark.parametrize("strict_iou", [0, -0.5, 1.5])
def test_an_overlap_that_asks_for_nothing_or_too_much_is_refused(strict_iou: float) -> None:
    with pytest.raises(ValueError, match="strict_iou"):
        MatchRule(strict_iou=strict_iou)


@pytest.mark.parametrize("rule", [MatchRule(), MatchRule(strict_iou=0.01, max_distance_nm=60)])
def test_noise_with_thousands_of_components_is_matched_with_itself_alone(rule: MatchRule) -> None:
    noise = np.random.default_rng(0).random((10, 150, 150)) < 0.01
    found = detect_synapses(MaskPair(noise, noise, CREMI), rule)
    assert len(found.matched) > 1000
    assert found.f1 == 1
    assert all(match.predicted == match.annotated for match in found.matched)
