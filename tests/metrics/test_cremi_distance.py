"""The CREMI distance: the contract's cases, and laws that hold on any masks."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from connectomics.metrics import LabelPair, MaskPair, UndefinedError, distance, score_volume
from connectomics.metrics.cleft_distance import measure_cleft_distance
from connectomics.metrics.distance import TargetDistances, find_border, find_extent, measure_distances
from connectomics.metrics.pair import require_same_spacing
from connectomics.volumes.labels import CREMI_BACKGROUND, split_clefts

CASES = json.loads((Path(__file__).parent / "cremi_cases.json").read_text())["cases"]
SPACINGS = [(40, 4, 4), (50, 4.6, 4.6), (40, 4, 6), (1, 1, 1), (3, 8, 5), (29.0, 7.1, 6.3), (2.5, 10, 10)]


def build_ids(recipe: dict[str, Any], shape: list[int]) -> np.ndarray:
    ids = np.full(shape, int(recipe.get("fill", CREMI_BACKGROUND)), np.uint64)
    for z0, z1, y0, y1, x0, x1, cleft in recipe.get("boxes", []):
        ids[z0:z1, y0:y1, x0:x1] = int(cleft)
    for z, y, x, cleft in recipe.get("voxels", []):
        ids[z, y, x] = int(cleft)
    return ids


def draw_masks(rng: np.random.Generator, largest: int = 9) -> tuple[np.ndarray, np.ndarray]:
    """Draw two masks that are not empty, from nearly empty to full."""
    shape = rng.integers(1, largest, 3)
    masks = [rng.random(shape) < rng.choice([0.003, 0.03, 0.3, 1.0]) for _ in range(2)]
    for mask in masks:
        mask[tuple(rng.integers(shape))] = True
    return masks[0], masks[1]


def brute_force(queried: np.ndarray, targets: np.ndarray, spacing_nm: tuple[float, ...]) -> np.ndarray:
    offsets = np.argwhere(queried)[:, None] - np.argwhere(targets)[None]
    return np.sqrt(((offsets * np.asarray(spacing_nm)) ** 2).sum(axis=2)).min(axis=1)


@pytest.mark.parametrize("case", CASES, ids=[case["name"] for case in CASES])
def test_the_contracts_cases_come_out_to_the_last_digits(case: dict[str, Any]) -> None:
    test, truth = (build_ids(case[name], case["shape"]) for name in ("test", "truth"))
    assert hashlib.sha256(test.astype("<u8").tobytes()).hexdigest() == case["test_sha256"]
    assert hashlib.sha256(truth.astype("<u8").tobytes()).hexdigest() == case["truth_sha256"]
    label = split_clefts(truth, "cremi")
    require_same_spacing(case["test_resolution"], case["truth_resolution"])
    found = split_clefts(test, "cremi").foreground
    pair = MaskPair(found, label.foreground, case["truth_resolution"], label.annotated)
    expected = {("score" if key == "cremi_score" else key): value for key, value in case["expect"].items()}
    scores = measure_cleft_distance(pair, case["threshold_nm"]).to_json()
    assert scores.keys() == expected.keys()
    for key, value in expected.items():
        assert scores[key] == pytest.approx(value, abs=1e-9, rel=0), key


@pytest.mark.parametrize("spacing", SPACINGS)
@pytest.mark.parametrize("seed", range(12))
def test_distances_equal_those_of_brute_force(spacing: tuple[float, ...], seed: int) -> None:
    rng = np.random.default_rng(seed)
    predicted, truth = draw_masks(rng)
    distances = brute_force(predicted, truth, spacing)
    counts = measure_distances(predicted, truth, spacing)
    np.testing.assert_allclose(np.repeat(counts.lengths_nm, counts.counts), np.sort(distances), rtol=1e-14)
    assert counts.mean() == pytest.approx(distances.mean(), rel=1e-12)
    assert counts.std() == pytest.approx(distances.std(), rel=1e-12, abs=1e-12)
    assert counts.median() == pytest.approx(np.median(distances), rel=1e-12)
    assert counts.max() == pytest.approx(distances.max(), rel=1e-14)
    assert counts.total == predicted.sum()


@pytest.mark.parametrize("shape", [(4, 3, 200), (4, 200, 3), (3, 60, 60), (30, 12, 12)])
@pytest.mark.parametrize("share", [2e-4, 0.01, 0.5, 1.0])
def test_thin_flat_and_dense_volumes_are_no_exception(shape: tuple[int, ...], share: float) -> None:
    rng = np.random.default_rng(0)
    truth = rng.random(shape) < 0.002
    truth[0, 0, 0] = True
    predicted = rng.random(shape) < share
    predicted[-1, -1, -1] = True
    for queried, targets in ((predicted, truth), (truth, predicted)):
        counts = measure_distances(queried, targets, (40, 4, 4))
        distances = np.sort(brute_force_in_parts(queried, targets))
        np.testing.assert_allclose(np.repeat(counts.lengths_nm, counts.counts), distances, rtol=1e-14)


def brute_force_in_parts(queried: np.ndarray, targets: np.ndarray) -> np.ndarray:
    best = np.full(queried.sum(), np.inf)
    voxels = np.argwhere(queried)
    for target in np.argwhere(targets) if targets.sum() < queried.sum() else []:
        np.minimum(best, ((voxels - target) ** 2 @ (1600, 16, 16)), out=best)
    if np.isinf(best).any():
        ends = np.argwhere(targets)
        best = np.array([((ends - voxel) ** 2 @ (1600, 16, 16)).min() for voxel in voxels])
    return np.sqrt(best)


def test_a_spacing_that_was_rounded_to_float32_changes_the_distances_by_no_more() -> None:
    rng = np.random.default_rng(3)
    predicted, truth = draw_masks(rng)
    rounded = tuple(float(np.float32(size)) for size in (50, 4.6, 4.6))
    counts = measure_distances(predicted, truth, rounded)
    expected = np.sort(brute_force(predicted, truth, rounded))
    np.testing.assert_allclose(np.repeat(counts.lengths_nm, counts.counts), expected, rtol=1e-14)


@pytest.mark.parametrize("size", [4, 0.8, 0.1, 1.6, 2.5])
@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_voxel_at_exactly_200_nm_is_not_far_and_the_next_one_is(size: float, axis: int) -> None:
    pixels = round(200 / size)
    for beyond in (0, 1):
        shape = np.roll((pixels + 2, 1, 1), axis)
        predicted, truth = np.zeros(shape, bool), np.zeros(shape, bool)
        truth.ravel()[0] = predicted.ravel()[pixels + beyond] = True
        distance = measure_cleft_distance(MaskPair(predicted, truth, (size, size, size)))
        assert (distance.fp_count, distance.fn_count) == (beyond, beyond)


def test_swapping_the_masks_swaps_the_directions() -> None:
    predicted, truth = draw_masks(np.random.default_rng(5))
    one = measure_cleft_distance(MaskPair(predicted, truth, (40, 4, 4)))
    other = measure_cleft_distance(MaskPair(truth, predicted, (40, 4, 4)))
    assert (one.false_positives, one.fp_count) == (other.false_negatives, other.fn_count)
    assert one.score == other.score


def test_turning_the_axes_with_their_spacing_changes_nothing() -> None:
    predicted, truth = draw_masks(np.random.default_rng(6))
    spacing = (40, 4, 6)
    scores = [
        measure_cleft_distance(
            MaskPair(predicted.transpose(axes), truth.transpose(axes), tuple(spacing[axis] for axis in axes))
        ).score
        for axes in ((0, 1, 2), (1, 0, 2), (2, 0, 1), (2, 1, 0))
    ]
    assert scores == pytest.approx([scores[0]] * 4, rel=1e-12)


def test_empty_sections_and_margins_around_the_masks_change_nothing() -> None:
    masks = draw_masks(np.random.default_rng(7))
    padded = [np.pad(mask, ((2, 3), (40, 1), (0, 70))) for mask in masks]
    alone, within = (measure_cleft_distance(MaskPair(*pair, (40, 4, 4))) for pair in (masks, padded))
    assert alone == within


def test_excluded_voxels_count_as_if_neither_mask_held_them() -> None:
    rng = np.random.default_rng(8)
    predicted, truth = rng.random((2, 5, 12, 12)) < 0.1
    annotated = rng.random(truth.shape) < 0.6
    masked = MaskPair(predicted, truth, (40, 4, 4), annotated)
    assert measure_cleft_distance(masked) == measure_cleft_distance(
        MaskPair(predicted & annotated, truth & annotated, (40, 4, 4))
    )


@pytest.mark.parametrize("spacing", SPACINGS)
@pytest.mark.parametrize("seed", range(6))
def test_both_ways_to_measure_give_the_same_distances(
    spacing: tuple[float, ...], seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    predicted, truth = draw_masks(np.random.default_rng(seed), largest=14)
    by_tree = measure_distances(predicted, truth, spacing)
    monkeypatch.setattr(distance, "suits_tree", lambda outside, border, voxels: False)
    transformed = TargetDistances(truth, spacing, predicted)
    by_transform = measure_distances(predicted, truth, spacing)
    lengths = [np.repeat(one.lengths_nm, one.counts) for one in (by_tree, by_transform)]
    if transformed.is_whole:
        np.testing.assert_array_equal(*lengths)
    np.testing.assert_allclose(*lengths, rtol=3e-6)
    assert by_transform.mean() == pytest.approx(by_tree.mean(), rel=1e-7)
    assert by_transform.count_farther_than(50) == by_tree.count_farther_than(50)


@pytest.mark.parametrize("shape", [(20, 300, 300), (1, 1, 4000), (40, 12, 900)])
def test_a_large_transform_is_exact_to_the_last_corner(shape: tuple[int, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(distance, "suits_tree", lambda outside, border, voxels: False)
    targets = np.zeros(shape, bool)
    targets[0, 0, 0] = targets[-1, 0, shape[2] // 3] = True
    everything = np.ones(shape, bool)
    distances = TargetDistances(targets, (40, 4, 4), everything)
    y, x = (axis.reshape(-1) for axis in np.indices(shape[1:]))
    for z in range(shape[0]):
        expected = np.minimum(100 * z**2 + y**2 + x**2, 100 * (shape[0] - 1 - z) ** 2 + y**2 + (x - shape[2] // 3) ** 2)
        np.testing.assert_array_equal(distances.squared(z, np.arange(y.size)), expected)


def test_few_far_voxels_go_to_the_tree_and_many_to_the_transform(monkeypatch: pytest.MonkeyPatch) -> None:
    truth, far = np.zeros((2, 30, 300, 300), bool)
    truth[:, 10:290, 10:70] = True
    far[:, 290:297, 290:297] = True
    assert TargetDistances(truth, (40, 4, 4), far).uses_tree
    assert not TargetDistances(truth, (40, 4, 4), ~truth).uses_tree
    monkeypatch.setattr(distance, "MOST_SECONDS", 0.0)
    monkeypatch.setattr(distance, "SAMPLE", 10)
    assert not TargetDistances(truth, (40, 4, 4), far).uses_tree  # a tree that turns out to be slow gives way
    assert len(find_border(truth)) == 30 * 2 * (280 + 58)


@pytest.mark.parametrize(
    ("predicted", "truth", "reason"),
    [
        (0, 1, "no voxel is predicted"),
        (1, 0, "no voxel is annotated as cleft"),
        (0, 0, "no voxel is predicted, and none is annotated as cleft"),
    ],
)
def test_an_empty_mask_has_no_distance_and_the_reason_is_told(predicted: int, truth: int, reason: str) -> None:
    pair = LabelPair(np.full((2, 4, 4), predicted, bool), np.full((2, 4, 4), truth, bool), (40, 4, 4))
    assert score_volume(pair, ["cremi_distance"]) == {"cremi_distance": None, "cremi_distance_undefined": reason}


def test_a_truth_that_is_excluded_everywhere_has_no_distance() -> None:
    everything = np.ones((2, 4, 4), bool)
    pair = LabelPair(everything, everything, (40, 4, 4), annotated=~everything)
    with pytest.raises(UndefinedError, match="every voxel is excluded"):
        measure_cleft_distance(pair.masks)


def test_measuring_refuses_masks_without_a_distance_or_of_two_shapes() -> None:
    mask = np.ones((2, 3, 3), bool)
    with pytest.raises(ValueError, match="empty"):
        measure_distances(mask, ~mask, (40, 4, 4))
    with pytest.raises(ValueError, match="shape"):
        measure_distances(mask, mask[:1], (40, 4, 4))


@pytest.mark.parametrize("spacing", [(0, 4, 4), (40, -4, 4), (40, 4, float("nan")), (float("inf"), 4, 4)])
def test_a_voxel_size_that_is_no_length_is_refused(spacing: tuple[float, ...]) -> None:
    mask = np.ones((2, 3, 3), bool)
    with pytest.raises(ValueError, match="positive"):
        measure_distances(mask, mask, spacing)


def test_the_extent_holds_both_masks_and_nothing_more() -> None:
    first, second = np.zeros((2, 9, 9, 9), bool)
    assert find_extent(first, second).size == 0
    first[2, 3, 8] = second[5, 1, 4] = True
    box = find_extent(first, second)
    assert (box.start, box.stop) == ((2, 1, 4), (6, 4, 9))
