import numpy as np
import pytest

from connectomics.data.windows import count_of_rank, cover, own_parts, share_of_rank, spread
from connectomics.geometry import ZYX


@pytest.mark.parametrize("shape", [(18, 64, 64), (20, 70, 100), (37, 64, 129)])
def test_windows_cover_every_voxel_and_only_the_last_ones_overlap(shape: ZYX) -> None:
    window = (18, 32, 32)
    seen = np.zeros(shape, int)
    for z, y, x in cover(shape, window):
        part = seen[z : z + 18, y : y + 32, x : x + 32]
        assert part.shape == window
        part += 1
    assert seen.min() == 1
    even = tuple(slice(0, n // size * size - size) for n, size in zip(shape, window, strict=True))
    assert (seen[even] == 1).all()


def test_a_volume_smaller_than_a_window_lies_in_its_middle() -> None:
    assert cover((5, 64, 20), (9, 32, 32)) == [(-2, 0, -6), (-2, 32, -6)]


def test_some_of_many_windows_are_spread_evenly() -> None:
    windows = [(0, (i, 0, 0)) for i in range(100)]
    assert [at[0] for _, at in spread(windows, 4)] == [12, 37, 62, 87]
    assert spread(windows, None) == windows
    assert spread(windows, 200) == windows


def test_ranks_share_the_windows_evenly_and_leave_none_out() -> None:
    windows = [(0, (i, 0, 0)) for i in range(10)]
    shares = [share_of_rank(windows, rank, 4) for rank in range(4)]
    assert {len(share) for share in shares} == {3}
    assert {one for share in shares for one in share} == set(windows)
    assert [count_of_rank(len(windows), rank, 4) for rank in range(4)] == [3, 3, 2, 2]
    own = [share[: count_of_rank(10, rank, 4)] for rank, share in enumerate(shares)]
    assert sorted(one for share in own for one in share) == windows


@pytest.mark.parametrize("shape", [(18, 64, 64), (20, 70, 100), (37, 64, 129), (5, 33, 20)])
def test_each_voxel_belongs_to_one_window_that_holds_it(shape: ZYX) -> None:
    window = (18, 32, 32)
    seen = np.zeros(shape, int)
    for at, part in zip(cover(shape, window), own_parts(shape, window), strict=True):
        seen[part.slices] += 1
        ends = zip(at, part.start, part.stop, window, shape, strict=True)
        assert all(a <= start < stop <= a + size for a, start, stop, size, _ in ends)
        assert all(2 * n >= min(size, extent) for n, size, extent in zip(part.shape, window, shape, strict=True))
    assert (seen == 1).all()
