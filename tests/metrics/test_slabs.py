"""What is found slab by slab is what is found in the whole volume."""

from __future__ import annotations

import cc3d
import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from connectomics.geometry import Connectivity
from connectomics.metrics import LabelPair, score_volume
from connectomics.metrics.components import label_mask
from connectomics.metrics.distance import measure_distances
from connectomics.metrics.judged import judge
from connectomics.metrics.matching import MatchRule
from connectomics.metrics.slabs.joined import JoinedComponents
from connectomics.metrics.slabs.reaching import DistanceTally, ReachingDistances
from connectomics.metrics.slabs.slab_scores import BY_SLABS, measure_slabs, score_slabs
from connectomics.metrics.slabs.survey import SlabVolume, survey

SHAPE = (23, 31, 27)


def blobs(seed: int, share: float, sigma: float = 1.2, shape=SHAPE) -> np.ndarray:
    noise = gaussian_filter(np.random.default_rng(seed).normal(size=shape), sigma)
    return noise > np.quantile(noise, 1 - share)


@pytest.mark.parametrize("connectivity", [6, 18, 26])
@pytest.mark.parametrize("depth", [1, 4, 9, 50])
@pytest.mark.parametrize("sigma", [0.0, 1.2])
def test_ids_of_slabs_are_those_of_the_whole(connectivity: Connectivity, depth: int, sigma: float) -> None:
    mask = blobs(1, 0.2, sigma)
    joined = JoinedComponents(connectivity)
    starts = range(0, len(mask), depth)
    for z in starts:
        joined.add(mask[z : z + depth])
    ids = joined.ids()
    again = [ids[joined.again(slab, mask[z : z + depth])] for slab, z in enumerate(starts)]
    np.testing.assert_array_equal(np.concatenate(again), label_mask(mask, connectivity)[0])


def test_components_are_numbered_by_their_first_voxels() -> None:
    mask = blobs(2, 0.1, 0.5)
    ids, number = cc3d.connected_components(mask, connectivity=26, return_N=True)
    first = [int(np.flatnonzero(ids.reshape(-1) == i)[0]) for i in range(1, number + 1)]
    assert first == sorted(first)


@pytest.mark.parametrize("spacing", [(40.0, 4.0, 4.0), (50.0, 4.6, 4.6), (3.0, 8.0, 8.0)])
@pytest.mark.parametrize("depth", [1, 3, 8])
@pytest.mark.parametrize("case", ["near", "far", "corner", "none"])
def test_distances_of_slabs_are_those_of_the_whole(spacing, depth: int, case: str) -> None:
    queried, targets = blobs(3, 0.05), blobs(4, 0.05)
    if case == "far":
        targets[:18] = False
    elif case == "corner":
        targets[:] = False
        targets[-1, -1, -1] = True
    elif case == "none":
        targets[:] = False
    reaching = ReachingDistances(lambda a, b: targets[a:b], SHAPE, spacing, depth)
    tally = DistanceTally(reaching)
    for z in range(0, len(queried), depth):
        tally.add(reaching.squared(z, queried[z : z + depth]))
    counts = tally.counts()
    if case == "none":
        assert counts.squared.tolist() == [np.inf]
        return
    whole = measure_distances(queried, targets, spacing)
    assert counts.total == whole.total
    np.testing.assert_allclose(counts.mean(), whole.mean(), rtol=1e-6)
    if spacing[1] != 4.6:
        np.testing.assert_array_equal(counts.squared, whole.squared)
        np.testing.assert_array_equal(counts.counts, whole.counts)


def slab_volume(predicted: np.ndarray, truth: np.ndarray | None, depth: int, annotated=None) -> SlabVolume:
    keep = np.ones_like(predicted) if annotated is None else annotated
    probability = np.random.default_rng(9).random(predicted.shape, np.float32)
    return SlabVolume(
        predicted.shape, (40.0, 4.0, 4.0), depth,
        predicted=lambda a, b: predicted[a:b] & keep[a:b],
        truth=None if truth is None else (lambda a, b: truth[a:b] & keep[a:b]),
        annotated=None if annotated is None else (lambda a, b: bool(keep[a:b].any())),
        probability=lambda a, b: probability[a:b],
    )  # fmt: skip


CASES = {
    "usual": (blobs(5, 0.08), blobs(6, 0.08)),
    "alike": (blobs(5, 0.08), blobs(5, 0.06)),
    "nothing predicted": (np.zeros(SHAPE, bool), blobs(6, 0.08)),
    "nothing annotated": (blobs(5, 0.08), np.zeros(SHAPE, bool)),
    "nothing at all": (np.zeros(SHAPE, bool), np.zeros(SHAPE, bool)),
}


@pytest.mark.parametrize("excluded", ["nothing", "half", "all"])
@pytest.mark.parametrize("depth", [4, 9])
@pytest.mark.parametrize("case", CASES)
def test_scores_of_slabs_are_those_of_the_whole(case: str, depth: int, excluded: str) -> None:
    predicted, truth = CASES[case]
    annotated = None
    if excluded != "nothing":
        annotated = np.zeros(SHAPE, bool)
        annotated[:, : 16 if excluded == "half" else 0] = True
    rule = MatchRule(max_distance_nm=30.0 if depth == 9 else None, connectivity=18 if depth == 9 else 26)
    pair = LabelPair(predicted, truth, (40.0, 4.0, 4.0), annotated)
    found = survey(slab_volume(predicted, truth, depth, annotated), rule)
    distances = measure_slabs(found)
    assert score_slabs(found, distances, BY_SLABS, rule) == score_volume(pair, BY_SLABS, rule)
    whole = judge(pair, rule)
    assert found.judged.outcomes is not None
    assert whole.outcomes is not None
    np.testing.assert_array_equal(found.judged.outcomes.predicted, whole.outcomes.predicted)
    np.testing.assert_array_equal(found.judged.outcomes.annotated, whole.outcomes.annotated)
    np.testing.assert_array_equal(found.judged.both.predicted.centroids_nm, whole.both.predicted.centroids_nm)
