"""What became of each synapse, against the definition written out by brute force."""

from __future__ import annotations

import cc3d
import numpy as np
import pytest

from connectomics.metrics import MaskPair, UndefinedError
from connectomics.metrics.components import label_mask, measure_components
from connectomics.metrics.matching import MatchRule
from connectomics.metrics.outcomes import Outcome, Outcomes, judge_outcomes, synapse_detection
from tests.metrics.test_synapse_detection import draw

CREMI = (40.0, 4.0, 4.0)


def judge(predicted: np.ndarray, truth: np.ndarray, rule: MatchRule) -> Outcomes:
    pair = MaskPair(predicted, truth, CREMI)
    ours = measure_components(*label_mask(pair.predicted, rule.connectivity), pair.truth, CREMI)
    theirs = measure_components(*label_mask(pair.truth, rule.connectivity), pair.predicted, CREMI)
    return judge_outcomes(ours, theirs, rule)


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
    scores = synapse_detection(MaskPair(predicted, truth, CREMI), MatchRule(min_iou=0.3))
    assert scores == {
        "f1": pytest.approx(2 * (5 / 6) ** 2 / (10 / 6)), "precision": 5 / 6, "recall": 5 / 6, "predicted": 6,
        "annotated": 6, "found": 1, "poorly_outlined": 1, "merged": 1, "split": 1, "missed": 1, "invented": 1,
    }  # fmt: skip


def test_in_a_chain_the_merger_names_what_it_covers() -> None:
    truth = draw((0, 1, 0, 4, 0, 4), (0, 1, 0, 4, 6, 16))
    predicted = draw((0, 1, 0, 4, 0, 8), (0, 1, 0, 4, 10, 14))
    found = judge(predicted, truth, MatchRule())
    assert list(found.predicted) == [Outcome.MERGED, Outcome.SPLIT]
    assert list(found.annotated) == [Outcome.MERGED, Outcome.MERGED]
    assert list(found.partner) == [0, 1]


def test_the_counts_add_up() -> None:
    rng = np.random.default_rng(0)
    for _ in range(20):
        masks = rng.random((2, 3, 12, 12)) < rng.uniform(0.02, 0.3)
        scores = synapse_detection(MaskPair(masks[0], masks[1], CREMI))
        detected = scores["annotated"] - scores["missed"]
        assert scores["recall"] == (pytest.approx(detected / scores["annotated"]) if scores["annotated"] else None)
        assert scores["found"] + scores["poorly_outlined"] + scores["split"] <= detected


def test_only_two_empty_masks_have_no_detection() -> None:
    nothing, something = draw(), draw((0, 1, 0, 4, 0, 4))
    with pytest.raises(UndefinedError):
        synapse_detection(MaskPair(nothing, nothing, CREMI))
    assert synapse_detection(MaskPair(nothing, something, CREMI))["f1"] == 0
    assert synapse_detection(MaskPair(something, nothing, CREMI))["precision"] == 0
    assert synapse_detection(MaskPair(something, nothing, CREMI))["recall"] is None
