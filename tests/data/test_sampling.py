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


def test_volumes_of_equal_weight_are_drawn_equally_often_whatever_their_size_and_foreground() -> None:
    places = [positions_of(sparse(), 20), positions_of(np.zeros((20, 60, 60), np.uint8), 20)]
    sampler, rng = PatchSampler(places, 0.95, [1.0, 1.0]), np.random.default_rng(3)
    first = sum(sampler.draw(rng)[0] == 0 for _ in range(2000))
    low, high = stats.binom.interval(1 - 1e-6, 2000, 0.5)
    assert low <= first <= high


@pytest.mark.parametrize("p", [0.0, 0.8, 1.0])
def test_positions_of_all_volumes_are_drawn_as_one_by_one_until_one_is_accepted(p: float) -> None:
    threshold, draws = 20, 8000
    volumes = [sparse((5, 14, 16)), np.zeros((3, 6, 6), np.uint8), np.zeros((4, 8, 12), np.uint8)]
    here = [positions_of(codes, threshold) for codes in volumes]
    reject, rng = RejectSamplingConfig(size_thres=threshold, p=p), np.random.default_rng(2)
    sampler = build_sampler(["a", "b", "c"], here, reject)
    drawn = Counter(sampler.draw(rng) for _ in range(draws))
    places = [(v, one.place(i)) for v, one in enumerate(here) for i in range(int(np.prod(one.shape)))]
    odds = np.array([1.0 if count_foreground(volumes[v], at) >= threshold else 1 - p for v, at in places])
    assert sum(drawn[place] for place in places) == draws
    assert all(drawn[place] == 0 for place, odd in zip(places, odds, strict=True) if odd == 0)
    likely = [place for place, odd in zip(places, odds, strict=True) if odd > 0]
    expected = odds[odds > 0] / odds.sum() * draws
    assert stats.chisquare([drawn[place] for place in likely], expected).pvalue > 1e-4


def test_the_formula_holds_for_all_volumes_together() -> None:
    p, draws, threshold = 0.95, 3000, 20
    volumes = [sparse(), *[np.zeros((20, 40, 40), np.uint8)] * 3]
    here = [positions_of(codes, threshold) for codes in volumes]
    q = len(here[0].rich) / sum(len(one.rich) + len(one.poor) for one in here)
    sampler, rng = PatchSampler(here, p), np.random.default_rng(5)
    hits = sum(v == 0 and count_foreground(volumes[0], at) >= threshold
               for v, at in (sampler.draw(rng) for _ in range(draws)))  # fmt: skip
    low, high = stats.binom.interval(1 - 1e-6, draws, q / (q + (1 - p) * (1 - q)))
    assert low <= hits <= high


def test_weights_say_how_often_each_volume_is_drawn_and_zero_is_never() -> None:
    here = [positions_of(codes, 20) for codes in (sparse(), np.zeros((3, 6, 6), np.uint8), sparse((8, 60, 60)))]
    sampler, rng = PatchSampler(here, 0.9, [1.0, 0.0, 3.0]), np.random.default_rng(4)
    drawn = Counter(sampler.draw(rng)[0] for _ in range(2000))
    low, high = stats.binom.interval(1 - 1e-6, 2000, 0.25)
    assert low <= drawn[0] <= high
    assert drawn[1] == 0


PINNED = [(0, (3, 23, 17)), (0, (2, 18, 19)), (0, (5, 17, 20)), (0, (3, 18, 19)), (0, (5, 11, 5)), (0, (3, 5, 7))]
"""What one volume gave before the positions of several volumes were drawn alike."""


@pytest.mark.parametrize("others", [0, 1])
def test_one_volume_is_drawn_from_as_ever_also_beside_one_that_is_never_drawn(others: int) -> None:
    here = [positions_of(sparse(), 20), *[positions_of(np.zeros((8, 30, 30), np.uint8), 20)] * others]
    sampler = PatchSampler(here, 0.95, [2.0, 0.0] if others else None)
    assert [sampler.draw(np.random.default_rng((42, number))) for number in range(6)] == PINNED


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


def test_rejecting_everything_of_a_volume_that_weighs_something_names_the_volume() -> None:
    both = [positions_of(sparse(), 20), positions_of(np.zeros((8, 30, 30), np.uint8), 20)]
    names, reject = ["im_A.h5", "im_B.h5"], RejectSamplingConfig(size_thres=20, p=1.0)
    with pytest.raises(
        UserError, match=r"im_B\.h5: .*largest count found is 0.*data\.dataloader\.volume_weights must be 0"
    ):
        build_sampler(names, both, reject, [1.0, 0.5])
    for weights in (None, [1.0, 0.0]):
        sampler, rng = build_sampler(names, both, reject, weights), np.random.default_rng(0)
        assert {sampler.draw(rng)[0] for _ in range(50)} == {0}


def test_of_a_volume_that_is_never_drawn_nothing_is_asked() -> None:
    excluded = positions_of(np.full((8, 30, 30), 255, np.uint8), 20)
    reject = RejectSamplingConfig(size_thres=20, p=0.5)
    build_sampler(["a", "b"], [positions_of(sparse(), 20), excluded], reject, [1.0, 0.0])
    poor = positions_of(np.zeros((8, 30, 30), np.uint8), 20)
    with pytest.raises(UserError, match="largest count found is 0"):
        build_sampler(["a", "b"], [positions_of(sparse(), 20), poor], reject, [0.0, 1.0])


def test_nothing_to_accept_is_no_share() -> None:
    with pytest.raises(ValueError, match="none is ever accepted"):
        accepted_share(0, 10, 1.0)
