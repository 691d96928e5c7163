from __future__ import annotations

import itertools

import numpy as np
import pytest

from connectomics.inference.blend import PROFILES, seam_weights
from connectomics.inference.planes import seam_share, widen_window
from connectomics.inference.window_grid import WindowGrid, place_windows


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("extent", [1, 5, 18, 19, 31, 125])
@pytest.mark.parametrize("pad", [0, 3])
@pytest.mark.parametrize("overlap", [0.0, 0.25, 0.5, 0.8])
def test_weights_sum_to_one_at_every_voxel(profile: str, extent: int, pad: int, overlap: float) -> None:
    axis = place_windows(extent, pad, 18, overlap, PROFILES[profile])
    total = np.zeros(extent + 200)
    for start, weights in zip(axis.starts, axis.weights, strict=True):
        total[start + 100 : start + 118] += weights
    np.testing.assert_allclose(total[100 - pad : 100 + extent + pad], 1, atol=3e-7)


def test_a_bump_of_two_thousand_voxels_shares_its_border() -> None:
    weights = seam_weights([0, 1000, 2000], 2000, PROFILES["bump"])
    assert np.isfinite(weights).all()
    np.testing.assert_allclose(weights[0, :1000], 1)
    np.testing.assert_allclose(weights[0, 1000:] + weights[1, :1000], 1, rtol=1e-6)
    assert weights[0, 1499] == pytest.approx(0.5, abs=0.01)


@pytest.mark.parametrize("profile", PROFILES)
def test_a_profile_is_symmetric_and_never_rises_towards_the_border(profile: str) -> None:
    logarithms = PROFILES[profile](18)
    np.testing.assert_allclose(logarithms, logarithms[::-1])
    assert (np.diff(logarithms[:9]) >= 0).all()


def test_the_cremi_volume_has_the_windows_of_the_handbook() -> None:
    grid = WindowGrid.cover((125, 1250, 1250), (0, 0, 0), (18, 256, 256), (0.5, 0.5, 0.5), PROFILES["bump"])
    assert (len(grid.z.starts), len(grid.y.starts), len(grid.x.starts)) == (13, 9, 9)


def test_an_axis_smaller_than_a_window_lies_in_the_middle_of_one() -> None:
    axis = place_windows(10, 2, 18, 0.5, PROFILES["bump"])
    assert axis.starts == (-4,)


def test_windows_that_see_only_padding_are_left_out() -> None:
    grid = WindowGrid.cover((4, 4, 4), (8, 8, 8), (4, 4, 4), (0.0, 0.0, 0.0), PROFILES["constant"])
    assert len(grid.rows()) == 1
    assert len(grid.plane()) == 1


PLANES = [(1250, 1250), (1314, 700), (100, 5000), (250, 3000), (16, 16)]


@pytest.mark.parametrize("plane", PLANES)
@pytest.mark.parametrize("max_voxels", [18 * 256 * 256, 2_000_000, 10_000_000, 10**9])
def test_a_widened_window_is_allowed_divisible_and_no_smaller(plane, max_voxels) -> None:
    z, y, x = widen_window((18, 256, 256), plane, (16, 16), max_voxels)
    assert z == 18
    assert y % 16 == x % 16 == 0
    assert min(y, x) >= 256
    assert z * y * x <= max_voxels


@pytest.mark.parametrize("plane", PLANES)
def test_a_window_spans_the_plane_where_memory_allows(plane) -> None:
    _, y, x = widen_window((18, 256, 256), plane, (16, 16), 10**9)
    assert y in range(plane[0], plane[0] + 16) or y == 256
    assert x in range(plane[1], plane[1] + 16) or x == 256


def test_a_small_window_is_found_in_a_large_plane() -> None:
    assert widen_window((2, 32, 32), (5000, 5000), (16, 16), 2 * 32 * 32) == (2, 32, 32)


@pytest.mark.parametrize(("window", "plane"), [((18, 256, 256), (1250, 2000)), ((4, 16, 16), (333, 70))])
def test_windows_of_a_plane_that_is_cut_are_as_many_as_it_takes(window, plane) -> None:
    max_voxels = 5 * window[0] * window[1] * window[2]
    widened = widen_window(window, plane, (16, 16), max_voxels)
    for extent, old, new in zip(plane, window[1:], widened[1:], strict=True):
        axis = place_windows(extent, 0, new, seam_share(old, new), PROFILES["bump"])
        overlaps = [a + new - b for a, b in itertools.pairwise(axis.starts)]
        assert all(overlap >= min(64, old // 2) for overlap in overlaps)
        assert len(axis.starts) <= -(-extent // (new - min(64, old // 2)))
