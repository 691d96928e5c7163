"""Every row of a sweep is what the plain metrics give for that mask."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from connectomics.decoding import remove_small
from connectomics.geometry import Box
from connectomics.metrics import METRICS, LabelPair, score_volume
from connectomics.metrics.distance import measure_distances
from connectomics.metrics.matching import MatchRule
from connectomics.metrics.sweep.forest import open_levels
from connectomics.metrics.sweep.levels import measure_levels
from connectomics.metrics.sweep.nearest import sum_nearest
from connectomics.metrics.sweep.swept_scores import open_sizes, sweep_levels

SPACINGS = [(40.0, 4.0, 4.0), (50.0, 4.6, 4.6), (8.0, 8.0, 8.0), (30.0, 6.0, 5.0)]
THRESHOLDS = [0.1, 0.25, 0.3, 0.45, 0.5, 0.6, 0.61, 0.8, 0.999]
RULES = [MatchRule(), MatchRule(strict_iou=0.1), MatchRule(0.2, 0.3, 60.0, 6), MatchRule(0.3, 0.5, 200.0, 18)]
PATIENT = settings(deadline=None, max_examples=60)

SCORES = ("cremi_distance", "adgt", "adf", "jaccard", "dice", "precision", "recall", "synapse_detection", "synapse_f1")


def draw_volume(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """Return probabilities, truth, and perhaps which voxels count."""
    shape = tuple(rng.integers((1, 2, 2), 16))  # cc3d fails for a line of voxels
    smooth = ndimage.gaussian_filter(rng.normal(size=shape), rng.uniform(0, 1.5))
    probability = np.clip(0.5 + rng.uniform(0.1, 0.4) * smooth / max(float(smooth.std()), 1e-9), 0, 1)
    if rng.random() < 0.3:
        probability = np.round(probability, 1)  # many voxels at a threshold
    truth = ndimage.gaussian_filter(rng.normal(size=shape), 1) > rng.uniform(0, 0.5)
    annotated = rng.random(shape) < 0.8 if rng.random() < 0.5 else None
    return probability.astype(np.float32), truth & (rng.random() < 0.95), annotated


def flattened(scores: dict) -> dict[str, float | None]:
    distance = scores["cremi_distance"] or dict.fromkeys(("score", "adgt", "adf"))
    named = {"cremi_distance": distance["score"], "adgt": distance["adgt"], "adf": distance["adf"]}
    return named | {name: METRICS[name].number(scores[name]) for name in SCORES[3:]}


@PATIENT
@given(st.integers(0, 2**32 - 1), st.sampled_from(SPACINGS), st.sampled_from(RULES))
def test_each_setting_has_the_scores_of_its_mask(seed: int, spacing: tuple, rule: MatchRule) -> None:
    probability, truth, annotated = draw_volume(np.random.default_rng(seed))
    whole = Box((0, 0, 0), probability.shape)
    levels = measure_levels([(whole, probability)], probability.shape, THRESHOLDS)
    sizes = [0, 2, 9]
    swept = sweep_levels(open_sizes(levels, sizes), truth, spacing, THRESHOLDS, sizes, rule, annotated)
    assert [(row.threshold, row.min_size) for row in swept] == [(t, s) for s in sizes for t in THRESHOLDS]
    names = ["cremi_distance", *SCORES[3:]]
    for row in swept:
        mask = remove_small(probability >= np.float32(row.threshold), row.min_size)
        plain = flattened(score_volume(LabelPair(mask, truth, spacing, annotated), names, rule))
        assert row.scores.keys() == plain.keys()
        for name, score in plain.items():
            assert row.scores[name] == (None if score is None else pytest.approx(score, rel=1e-9, abs=1e-9)), name


@pytest.mark.parametrize("seed", range(12))
def test_the_nearest_voxel_of_every_mask_is_found_in_a_volume_of_many_blocks(seed: int) -> None:
    rng = np.random.default_rng(seed)
    smooth = ndimage.gaussian_filter(rng.normal(size=(11, 90, 150)), (1, 4, 4))
    levels = np.clip(smooth / smooth.std() * 9 - rng.uniform(4, 16), 0, 20).astype(np.uint8)
    truth = np.roll(smooth, 11, axis=2) > 2 * smooth.std()
    spacing = SPACINGS[seed % 4]
    sums = sum_nearest(levels, truth, spacing)
    assert len(sums) == levels.max() > 3
    for i, total in enumerate(sums):
        plain = measure_distances(truth, levels > i, spacing)
        assert total == pytest.approx(plain.mean() * plain.total, rel=1e-9)


@PATIENT
@given(st.integers(0, 2**32 - 1), st.sampled_from([6, 18, 26]))
def test_opened_levels_hold_every_mask_without_its_small_components(seed: int, connectivity: int) -> None:
    rng = np.random.default_rng(seed)
    smooth = ndimage.gaussian_filter(rng.normal(size=tuple(rng.integers((1, 2, 2), 14))), rng.uniform(0, 1.5))
    levels = np.clip(smooth * 20, 0, 6).astype(np.uint8)
    sizes = [0, 1, 2, 6, 40, 10_000]
    for size, opened in zip(sizes, open_levels(levels, sizes, connectivity), strict=True):
        for level in range(6):
            np.testing.assert_array_equal(opened > level, remove_small(levels > level, size, connectivity))


def test_where_no_threshold_is_reached_nothing_is_predicted_at_any() -> None:
    levels, truth = np.zeros((3, 4, 5), np.uint8), np.ones((3, 4, 5), bool)
    for row in sweep_levels(open_sizes(levels, [0, 9]), truth, SPACINGS[0], THRESHOLDS, [0, 9], MatchRule()):
        assert row.scores == dict.fromkeys(SCORES) | {
            "jaccard": 0, "dice": 0, "recall": 0, "synapse_detection": 0, "synapse_f1": 0,
        }  # fmt: skip


def test_a_level_is_the_number_of_thresholds_that_a_probability_reaches_in_float32() -> None:
    thresholds = [0.1, 0.3, 0.7]
    probability = np.array([[[0, 0.1, 0.29999, 0.3, 0.7, 1]]], np.float32)
    levels = measure_levels([(Box((0, 0, 0), (1, 1, 6)), probability)], (1, 1, 6), thresholds)
    assert levels.ravel().tolist() == [0, 1, 1, 2, 3, 3]
    for wrong in ([], [0.5, 0.5], [0.6, 0.5], np.linspace(0.001, 0.999, 256)):
        with pytest.raises(ValueError, match="must ascend"):
            measure_levels([], (1, 1, 6), list(wrong))
