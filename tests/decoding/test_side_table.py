"""Every synapse with sides has a row: places and directions in nanometres."""

from __future__ import annotations

import numpy as np
import pytest

from connectomics.decoding.side_table import SidedSynapse, tabulate_sides

RAT = (30.0, 8.0, 4.0)


def probability_of(ids: np.ndarray) -> np.ndarray:
    """Probabilities of [pre, post, union]: of a side 0.8 within it, 0.1 in the other one."""
    pre, post = ids % 2 == 1, (ids % 2 == 0) & (ids > 0)
    return np.stack([0.7 * pre + 0.1, 0.7 * post + 0.1, 0.9 * (ids > 0)]).astype(np.float32)


def tabulate(ids: np.ndarray, offset: tuple[float, float, float] = (0, 0, 0)) -> list[SidedSynapse]:
    return tabulate_sides(ids, probability_of(ids), (0, 1), RAT, offset)


def inner(*synapses: tuple[int, int, int, int]) -> np.ndarray:
    """Ids of `(k, z, y, x)`: pre at that voxel and the next along x, post two rows below both."""
    ids = np.zeros((6, 12, 14), np.uint64)
    for k, z, y, x in synapses:
        ids[z, y, x : x + 2] = 2 * k - 1
        ids[z, y + 2, x : x + 2] = 2 * k
    return ids


def test_a_synapse_points_from_the_pre_to_the_post_synaptic_side() -> None:
    (row,) = tabulate(inner((3, 2, 4, 5)))
    assert row == SidedSynapse(
        id=3, sides="both", pre_voxels=2, post_voxels=2, pre_nm=(60, 32, 22), post_nm=(60, 48, 22),
        pre_probability=pytest.approx(0.8), post_probability=pytest.approx(0.8), direction=(0, 1, 0),
        touches_border=False,
    )  # fmt: skip


def test_a_direction_is_one_of_space_whatever_the_voxel_size() -> None:
    ids = np.zeros((5, 7, 12), np.uint64)
    ids[1, 1, 1], ids[2, 5, 9] = 1, 2  # 30, 32 and 32 nm apart
    (row,) = tabulate(ids)
    assert row.direction == pytest.approx(np.array([30, 32, 32]) / np.linalg.norm([30, 32, 32]))


def test_places_count_from_the_offset_of_the_volume_and_directions_do_not() -> None:
    ids = inner((1, 2, 4, 5))
    (here,), (there,) = tabulate(ids), tabulate(ids, (600, 80, 40))
    assert there.pre_nm == (660, 112, 62)
    assert there.direction == here.direction


def test_a_synapse_with_one_side_has_a_row_that_says_so() -> None:
    ids = inner((1, 2, 4, 5), (2, 3, 4, 9))
    ids[ids == 2] = 0
    one, two = tabulate(ids)
    assert (one.sides, one.post_voxels, one.post_nm, one.post_probability, one.direction) == (
        "pre",
        0,
        None,
        None,
        None,
    )
    assert (two.id, two.sides) == (2, "both")
    (post,) = tabulate(np.where(inner((7, 2, 4, 5)) == 14, np.uint64(14), np.uint64(0)))
    assert (post.id, post.sides, post.pre_nm) == (7, "post", None)


@pytest.mark.parametrize(
    ("place", "touches"),
    [((2, 4, 5), False), ((0, 4, 5), True), ((5, 4, 5), True), ((2, 0, 5), True), ((2, 9, 5), True), ((2, 4, 0), True),
     ((2, 4, 12), True), ((1, 1, 1), False)],
)  # fmt: skip
def test_a_synapse_touches_the_border_where_either_side_does(place: tuple[int, int, int], touches: bool) -> None:
    assert tabulate(inner((1, *place)))[0].touches_border == touches


def test_rows_come_by_number_and_large_ids_are_as_good_as_small_ones() -> None:
    rows = tabulate(inner((2**40, 1, 1, 1), (5, 2, 5, 5), (3, 3, 3, 9)))
    assert [row.id for row in rows] == [3, 5, 2**40]


def test_concentric_sides_point_nowhere() -> None:
    ids = np.zeros((3, 3, 5), np.uint64)
    ids[1, 1, 1:4] = [1, 2, 1]
    assert tabulate(ids)[0].direction is None


def test_a_volume_without_synapses_has_no_row() -> None:
    assert tabulate(np.zeros((2, 3, 4), np.uint64)) == []
