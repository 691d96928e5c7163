from collections import Counter

import numpy as np
import pytest
from scipy import stats

from connectomics.config.data import RejectSamplingConfig
from connectomics.data.positions import Positions, find_positions
from connectomics.data.sampling import PatchSampler, accepted_share, build_sampler, is_on
from connectomics.errors import UserError
from connectomics.geometry import ZYX
from connectomics.volumes.source import ArraySource

PATCH = (3, 6, 6)


def sparse(shape: ZYX = (8, 30, 30)) -> np.ndarray:
    codes = np.zeros(shape, np.uint8)
    codes[2:4, 5:12, 5:12] = 1
    codes[5:7, 20:24, 18:26] = 1
    return codes


def positions_of(codes: np.ndarray, threshold: int) -> Positions:
    return find_positions(ArraySource.of(codes), PATCH, (0, 0, 0), "reflect", threshold)


def count_foreground(codes: np.ndarray, at: ZYX) -> int:
    return int(codes[tuple(slice(a, a + n) for a, n in zip(at, PATCH, strict=True))].sum())


@pytest.mark.parametrize("p", [0.0, 0.5, 0.95, 1.0])
def test_the_share_of_rich_patches_follows_the_formula(p: float) -> None:
    codes, threshold, draws = sparse(), 20, 3000
    here = positions_of(codes, threshold)
    q = len(here.rich) / (len(here.rich) + len(here.poor))
    expected = q / (q + (1 - p) * (1 - q))
    rng = np.random.default_rng(1)
    sampler = PatchSampler([here], p)
    hits = sum(count_foreground(codes, sampler.draw(rng)[1]) >= threshold for _ in range(draws))
    low, high = stats.binom.interval(1 - 1e-6, draws, expected)
    assert low <= hits <= high


def test_positions_are_distributed_as_by_drawing_until_one_is_accepted() -> None:
    codes, threshold, p, draws = sparse((5, 14, 16)), 20, 0.8, 8000
    here = positions_of(codes, threshold)
    sampler, rng = PatchSampler([here], p), np.random.default_rng(2)
    drawn = Counter(sampler.draw(rng)[1] for _ in range(draws))
    places = [here.place(i) for i in range(int(np.prod(here.shape)))]
    odds = np.array([1.0 if count_foreground(codes, at) >= threshold else 1 - p for at in places])
    expected = odds / odds.sum() * draws
    assert stats.chisquare([drawn[at] for at in places], expected).pvalue > 1e-4


def test_an_empty_volume_gives_background_and_ends() -> None:
    here = positions_of(np.zeros((8, 30, 30), np.uint8), 20)
    sampler, rng = PatchSampler([here], 0.95), np.random.default_rng(0)
    assert len({sampler.draw(rng) for _ in range(200)}) > 150


@pytest.mark.parametrize(("threshold", "p"), [(0, 0.9), (-5, 1.0), (20, 0.0)])
def test_sampling_that_is_off_draws_every_position_alike(threshold: int, p: float) -> None:
    reject = RejectSamplingConfig(size_thres=threshold, p=p)
    assert not is_on(reject)
    here = positions_of(sparse(), 0)
    sampler = build_sampler(["a"], [here], reject)
    rng = np.random.default_rng(0)
    planes = Counter(sampler.draw(rng)[1][0] for _ in range(3000))
    assert stats.chisquare([planes[z] for z in range(here.shape[0])]).pvalue > 1e-4


def test_volumes_are_drawn_equally_often_whatever_their_size_and_foreground() -> None:
    places = [positions_of(sparse(), 20), positions_of(np.zeros((20, 60, 60), np.uint8), 20)]
    sampler, rng = PatchSampler(places, 0.95), np.random.default_rng(3)
    first = sum(sampler.draw(rng)[0] == 0 for _ in range(2000))
    low, high = stats.binom.interval(1 - 1e-6, 2000, 0.5)
    assert low <= first <= high


def test_patches_lie_where_more_than_half_is_annotated() -> None:
    codes = sparse()
    codes[:, :, 15:] = 255
    here = positions_of(codes, 20)
    sampler, rng = PatchSampler([here], 0.5), np.random.default_rng(0)
    for _ in range(500):
        z, y, x = sampler.draw(rng)[1]
        assert (codes[z : z + 3, y : y + 6, x : x + 6] != 255).mean() > 0.5


def test_a_mask_that_excludes_everything_is_named() -> None:
    with pytest.raises(UserError, match=r"im_A\.h5: no patch .* annotated"):
        build_sampler(["im_A.h5"], [positions_of(np.full((8, 30, 30), 255, np.uint8), 1)], RejectSamplingConfig())


def test_a_threshold_that_no_patch_reaches_tells_the_largest_count() -> None:
    with pytest.raises(UserError, match=r"size_thres is 99, .* largest count found is 72"):
        build_sampler(["a"], [positions_of(sparse(), 99)], RejectSamplingConfig(size_thres=99, p=0.5))


def test_rejecting_everything_of_a_volume_names_the_volume() -> None:
    both = [positions_of(sparse(), 20), positions_of(np.zeros((8, 30, 30), np.uint8), 20)]
    with pytest.raises(UserError, match=r"im_B\.h5: .*largest count found is 0"):
        build_sampler(["im_A.h5", "im_B.h5"], both, RejectSamplingConfig(size_thres=20, p=1.0))


def test_nothing_to_accept_is_no_share() -> None:
    with pytest.raises(ValueError, match="none is ever accepted"):
        accepted_share(0, 10, 1.0)
