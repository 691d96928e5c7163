"""What became of each synapse, against the definition written out by brute force."""

from __future__ import annotations

import cc3d
import numpy as np
import pytest

from connectomics.metrics import LabelPair, UndefinedError
from connectomics.metrics.judged import judge as judge_pair
from connectomics.metrics.judged import synapse_detection
from connectomics.metrics.matching import MatchRule
from connectomics.metrics.outcomes import Outcome, Outcomes
from tests.metrics.test_synapse_detection import draw

CREMI = (40.0, 4.0, 4.0)


def judge(predicted: np.ndarray, truth: np.ndarray, rule: MatchRule) -> Outcomes:
    outcomes = judge_pair(LabelPair(predicted, truth, CREMI), rule).outcomes
    assert outcomes is not None
    return outcomes


def by_definition(predicted: np.ndarray, truth: np.ndarray, rule: MatchRule) -> tuple[list[str], list[str]]:
    """Return the outcomes of both sides, object by object, as the specification words them."""
    p = cc3d.connected_components(predicted, connectivity=rule.connectivity)
    t = cc3d.connected_components(truth, connectivity=rule.connectivity)
    centre = lambda ids, k: np.argwhere(ids == k).mean(axis=0) * CREMI  # noqa: E731
    joined = {
        (i, j)
        for i in range(1, p.max() + 1)
        for j in range(1, t.max() + 1)
        if ((p == i) & (t == j)).any()
        or (rule.max_distance_nm is not None and np.linalg.norm(centre(p, i) - centre(t, j)) <= rule.max_distance_nm)
    }
    of_p = {i: [b for a, b in joined if a == i] for i in range(1, p.max() + 1)}
    of_t = {j: [a for a, b in joined if b == j] for j in range(1, t.max() + 1)}

    def word(i: int, j: int) -> str:
        alike = ((p == i) & (t == j)).sum() / ((p == i) | (t == j)).sum() >= rule.min_iou
        return "found" if alike else "poorly outlined"

    ours, theirs = [], []
    for i, partners in of_p.items():
        if not partners:
            ours.append("invented")
        elif len(partners) > 1:
            ours.append("merged")
        else:
            ours.append("split" if len(of_t[partners[0]]) > 1 else word(i, partners[0]))
    for j, partners in of_t.items():
        if not partners:
            theirs.append("missed")
        elif any(len(of_p[i]) > 1 for i in partners):
            theirs.append("merged")
        else:
            theirs.append("split" if len(partners) > 1 else word(partners[0], j))
    return ours, theirs


@pytest.mark.parametrize("seed", range(60))
def test_outcomes_are_those_of_the_definition(seed: int) -> None:
    rng = np.random.default_rng(seed)
    shape = (3, 12, 14)
    truth = np.kron(rng.random((3, 4, 5)) < rng.uniform(0.1, 0.5), np.ones((1, 3, 3), bool))[:, :12, :14]
    predicted = np.roll(truth, rng.integers(-2, 3, 3), axis=(0, 1, 2)) ^ (rng.random(shape) < rng.uniform(0, 0.1))
    rule = MatchRule(
        min_iou=float(rng.uniform(0.05, 0.9)),
        max_distance_nm=[None, 0.0, 15.0, 60.0][seed % 4],
        connectivity=[6, 18, 26][seed % 3],
    )
    found = judge(predicted, truth, rule)
    assert (list(found.predicted), list(found.annotated)) == by_definition(predicted, truth, rule)


def test_each_word_means_what_it_says() -> None:
    truth = draw(
        (0, 1, 0, 4, 0, 10), (2, 3, 0, 4, 0, 10), (4, 5, 0, 4, 0, 4), (4, 5, 0, 4, 6, 10), (0, 1, 20, 24, 0, 10),
        (0, 1, 30, 34, 30, 34),
    )  # fmt: skip
    predicted = draw(
        (0, 1, 0, 4, 1, 10), (2, 3, 3, 8, 0, 10), (4, 5, 0, 4, 0, 10), (0, 1, 20, 24, 0, 4), (0, 1, 20, 24, 6, 10),
        (5, 6, 30, 32, 50, 52),
    )  # fmt: skip
    scores = synapse_detection(LabelPair(predicted, truth, CREMI), MatchRule(min_iou=0.3))
    assert scores == {
        "f1": pytest.approx(2 * (5 / 6) ** 2 / (10 / 6)), "precision": 5 / 6, "recall": 5 / 6, "predicted": 6,
        "annotated": 6, "detected": 5, "one_to_one_f1": 4 / 6, "found": 1, "poorly_outlined": 1,
        "merged": 1, "split": 1, "missed": 1, "invented": 1, "speck_voxels": 3, "specks": 0,
    }  # fmt: skip


def test_in_a_chain_the_merger_names_what_it_covers() -> None:
    truth = draw((0, 1, 0, 4, 0, 4), (0, 1, 0, 4, 6, 16))
    predicted = draw((0, 1, 0, 4, 0, 8), (0, 1, 0, 4, 10, 14))
    found = judge(predicted, truth, MatchRule())
    assert list(found.predicted) == [Outcome.MERGED, Outcome.SPLIT]
    assert list(found.annotated) == [Outcome.MERGED, Outcome.MERGED]
    assert list(found.joined.truth[found.partner]) == [0, 1]


def test_the_counts_add_up() -> None:
    rng = np.random.default_rng(0)
    for _ in range(20):
        masks = rng.random((2, 3, 12, 12)) < rng.uniform(0.02, 0.3)
        scores = synapse_detection(LabelPair(masks[0], masks[1], CREMI))
        detected = scores["annotated"] - scores["missed"]
        assert scores["recall"] == (pytest.approx(detected / scores["annotated"]) if scores["annotated"] else None)
        assert scores["found"] + scores["poorly_outlined"] + scores["split"] <= detected


def test_only_two_empty_masks_have_no_detection() -> None:
    nothing, something = draw(), draw((0, 1, 0, 4, 0, 4))
    with pytest.raises(UndefinedError):
        synapse_detection(LabelPair(nothing, nothing, CREMI))
    assert synapse_detection(LabelPair(nothing, something, CREMI))["f1"] == 0
    assert synapse_detection(LabelPair(something, nothing, CREMI))["precision"] == 0
    assert synapse_detection(LabelPair(something, nothing, CREMI))["recall"] is None


def test_specks_are_those_below_a_tenth_of_the_median_of_what_is_annotated() -> None:
    truth = np.zeros((3, 60, 120), bool)
    for i in range(20):
        truth[1, 3 * i, : 91 + i] = True  # the median is 100.5
    predicted = np.zeros_like(truth)
    for row, size in enumerate((4, 10, 11, 80)):
        predicted[0, 3 * row, :size] = True
    scores = synapse_detection(LabelPair(predicted, truth, CREMI))
    assert (scores["speck_voxels"], scores["specks"], scores["predicted"]) == (11, 2, 4)
    assert synapse_detection(LabelPair(predicted, np.zeros_like(truth), CREMI))["specks"] == 0


def test_neither_one_object_over_everything_nor_crumbs_win_the_score_that_decides() -> None:
    truth = np.zeros((3, 40, 40), bool)
    truth[1, 2:38:4, 2:30] = True  # nine synapses
    whole = np.ones_like(truth)
    crumbs = truth & (np.arange(40) % 3 == 0)  # nine pieces on each
    for mask, objects in ((whole, 1), (crumbs, 81)):
        scores = synapse_detection(LabelPair(mask, truth, CREMI))
        assert (scores["f1"], scores["predicted"]) == (1, objects)
        assert scores["one_to_one_f1"] < 0.25
    assert synapse_detection(LabelPair(truth, truth, CREMI))["one_to_one_f1"] == 1


@pytest.mark.parametrize("seed", range(30))
def test_the_score_that_decides_is_that_of_the_best_of_all_ways_to_pair_objects(seed: int) -> None:
    rng = np.random.default_rng(seed)
    truth = np.kron(rng.random((2, 3, 4)) < 0.4, np.ones((1, 3, 3), bool))
    predicted = np.roll(truth, rng.integers(-2, 3, 3), axis=(0, 1, 2)) ^ (rng.random(truth.shape) < 0.05)
    if not (truth.any() or predicted.any()):
        return
    found = judge(predicted, truth, MatchRule())
    pairs = list(zip(found.joined.predicted.tolist(), found.joined.truth.tolist(), strict=True))

    def most(left: list[tuple[int, int]]) -> int:
        if not left:
            return 0
        (p, t), *rest = left
        return max(most(rest), 1 + most([(a, b) for a, b in rest if a != p and b != t]))

    objects = len(found.predicted) + len(found.annotated)
    assert found.one_to_one_f1 == pytest.approx(2 * most(pairs) / objects)


@pytest.mark.parametrize("seed", range(20))
def test_synapses_with_sides_are_judged_by_their_unions_whether_these_touch_or_not(seed: int) -> None:
    rng = np.random.default_rng(seed)
    truth = np.kron(rng.integers(0, 7, (2, 3, 4)), np.ones((1, 4, 4), int)).astype(np.uint64)
    predicted = np.where(rng.random(truth.shape) < 0.1, rng.integers(0, 9, truth.shape).astype(np.uint64), truth)
    annotated = rng.random(truth.shape) < 0.9
    judged = judge_pair(LabelPair(predicted, truth, CREMI, annotated, sided=True), MatchRule())
    p, t = ((ids * annotated + 1) // 2 for ids in (predicted, truth))
    ours, theirs = (np.unique(ids[ids > 0]) for ids in (p, t))
    joined = {(int(i), int(j)) for i in ours for j in theirs if ((p == i) & (t == j)).any()}
    assert judged.outcomes is not None
    for numbers, words, side in ((ours, judged.outcomes.predicted, 0), (theirs, judged.outcomes.annotated, 1)):
        alone = [number for number in numbers.tolist() if not any(pair[side] == number for pair in joined)]
        word = (Outcome.INVENTED, Outcome.MISSED)[side]
        assert [n for n, own in zip(numbers.tolist(), words, strict=True) if own == word] == alone
    assert judged.both.predicted.numbers.tolist() == ours.tolist()
    assert all(judged.right_way_round[i] is None for i in np.flatnonzero(judged.outcomes.predicted == "merged"))
