"""Every synapse with sides has a row: places in voxels and nanometres, directions in space."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

from connectomics.decoding import DECODERS
from connectomics.metrics import LabelPair
from connectomics.metrics.judged import judge, list_objects
from connectomics.metrics.matching import MatchRule
from connectomics.reports.columns import names_of
from connectomics.reports.found import Found, Row
from connectomics.reports.object_table import write_table
from connectomics.reports.side_table import SIDE_COLUMNS, list_sides, remark_one_sided
from connectomics.volumes.sections import Sections

RAT = (30.0, 8.0, 4.0)
SIDED = DECODERS["polarity2instance"]


def found_of(ids: np.ndarray, offset: tuple[float, float, float] = (0, 0, 0), truth: np.ndarray | None = None) -> Found:
    """What a table is made of, with a probability of each side that is 0.8 within it and 0.1 in the other one."""
    pre, post = ids % 2 == 1, (ids % 2 == 0) & (ids > 0)
    probability = np.stack([0.7 * pre + 0.1, 0.7 * post + 0.1, 0.9 * (ids > 0)]).astype(np.float32)
    parts = [Sections(z, probability[:, z : z + 2]) for z in range(0, len(ids), 2)]
    rule = MatchRule()
    alone = truth is None
    judged = list_objects(ids, RAT, True, rule) if alone else judge(LabelPair(ids, truth, RAT, sided=True), rule)
    return Found(judged, parts, SIDED.foreground, offset, SIDED.channels)


def rows_of(ids: np.ndarray, offset: tuple[float, float, float] = (0, 0, 0)) -> list[Row]:
    return list_sides(found_of(ids, offset))


def along(row: Row, name: str, unit: str = "_nm") -> tuple[float, ...]:
    return tuple(row[f"{name}_{axis}{unit}"] for axis in "zyx")


def inner(*synapses: tuple[int, int, int, int]) -> np.ndarray:
    """Ids of `(k, z, y, x)`: pre at that voxel and the next along x, post two rows below both."""
    ids = np.zeros((6, 12, 14), np.uint64)
    for k, z, y, x in synapses:
        ids[z, y, x : x + 2] = 2 * k - 1
        ids[z, y + 2, x : x + 2] = 2 * k
    return ids


def test_a_synapse_points_from_the_pre_to_the_post_synaptic_side() -> None:
    (row,) = rows_of(inner((3, 2, 4, 5)))
    assert {name: row[name] for name in ("id", "sides", "pre_voxels", "post_voxels", "touches_border")} == {
        "id": 3, "sides": "both", "pre_voxels": 2, "post_voxels": 2, "touches_border": False,
    }  # fmt: skip
    assert (along(row, "pre"), along(row, "post")) == ((60, 32, 22), (60, 48, 22))
    assert (along(row, "pre", ""), along(row, "post", "")) == ((2, 4, 5.5), (2, 6, 5.5))
    assert row["pre_probability"] == row["post_probability"] == pytest.approx(0.8)
    assert along(row, "direction", "") == (0, 1, 0)


def test_a_direction_is_one_of_space_whatever_the_voxel_size() -> None:
    ids = np.zeros((5, 7, 12), np.uint64)
    ids[1, 1, 1], ids[2, 5, 9] = 1, 2  # 30, 32 and 32 nm apart
    (row,) = rows_of(ids)
    assert along(row, "direction", "") == pytest.approx(np.array([30, 32, 32]) / np.linalg.norm([30, 32, 32]))


def test_places_in_nm_count_from_the_offset_of_the_volume_and_nothing_else_does() -> None:
    ids = inner((1, 2, 4, 5))
    (here,), (there,) = rows_of(ids), rows_of(ids, (600, 80, 40))
    assert along(there, "pre") == (660, 112, 62)
    assert along(there, "post") == (660, 128, 62)
    same = [name for name in names_of(SIDE_COLUMNS) if not name.endswith("_nm") and "pt_position" not in name]
    assert [here[name] for name in same] == [there[name] for name in same]


def test_a_synapse_with_one_side_has_a_row_that_says_so_and_a_remark() -> None:
    ids = inner((1, 2, 4, 5), (2, 3, 4, 9), (7, 5, 1, 1))
    ids[(ids == 2) | (ids == 13)] = 0
    one, two, seven = rows = rows_of(ids)
    assert [row["sides"] for row in rows] == ["pre", "both", "post"]
    assert (one["post_voxels"], seven["pre_voxels"]) == (0, 0)
    for row, missing in ((one, "post"), (seven, "pre")):
        assert along(row, missing) == along(row, missing, "") == along(row, "direction", "") == (None, None, None)
        assert row[f"{missing}_probability"] is None
    assert remark_one_sided(rows) == "; one side only have 1, 7"
    assert remark_one_sided([two]) == ""
    assert remark_one_sided([one] * 12).endswith("1, 1 and 2 more")


@pytest.mark.parametrize(
    ("place", "touches"),
    [((2, 4, 5), False), ((0, 4, 5), True), ((5, 4, 5), True), ((2, 0, 5), True), ((2, 9, 5), True), ((2, 4, 0), True),
     ((2, 4, 12), True), ((1, 1, 1), False)],
)  # fmt: skip
def test_a_synapse_touches_the_border_where_either_side_does(place: tuple[int, int, int], touches: bool) -> None:
    assert rows_of(inner((1, *place)))[0]["touches_border"] == touches


def test_rows_come_by_number_and_large_ids_are_as_good_as_small_ones() -> None:
    rows = rows_of(inner((2**40, 1, 1, 1), (5, 2, 5, 5), (3, 3, 3, 9)))
    assert [row["id"] for row in rows] == [3, 5, 2**40]


def test_concentric_sides_point_nowhere() -> None:
    ids = np.zeros((3, 3, 5), np.uint64)
    ids[1, 1, 1:4] = [1, 2, 1]
    assert along(rows_of(ids)[0], "direction", "") == (None, None, None)


def test_beside_an_annotation_each_row_says_what_became_of_it_and_the_right_way_round() -> None:
    ids = inner((1, 2, 4, 5), (2, 3, 4, 9), (3, 1, 1, 1))
    truth = np.select([ids == 3, ids == 4, ids > 4], [np.uint64(8), np.uint64(7), np.uint64(0)], ids)
    rows = list_sides(found_of(ids, truth=truth))
    assert [(row["outcome"], row["annotated_ids"], row["iou"], row["right_way_round"]) for row in rows] == [
        ("found", "1", 1, True), ("found", "4", 1, False), ("invented", None, None, None),
    ]  # fmt: skip
    assert all(row["outcome"] is None for row in rows_of(ids))


def test_the_points_for_other_tools_lie_within_their_sides_and_count_from_the_origin_of_the_dataset() -> None:
    rng = np.random.default_rng(0)
    ids = np.where(rng.random((6, 12, 14)) < 0.3, rng.integers(0, 9, (6, 12, 14)), 0).astype(np.uint64)
    origin = np.array([20, 10, 3])
    for row in rows_of(ids, tuple(origin * RAT)):
        for name, side in (("pre", 2 * row["id"] - 1), ("post", 2 * row["id"])):
            at = np.array([row[f"{name}_pt_position_{axis}"] for axis in "zyx"]) - origin
            assert ids[tuple(at)] == side
            voxels = np.argwhere(ids == side)
            apart = (((voxels - voxels.mean(axis=0)) * RAT) ** 2).sum(axis=1)
            assert (((at - voxels.mean(axis=0)) * RAT) ** 2).sum() == pytest.approx(apart.min())


@pytest.mark.parametrize("decoder", ["polarity2instance", "polarity2instance_exclusive"])
def test_the_table_of_sides_is_written_with_all_its_columns(tmp_path: Path, decoder: str) -> None:
    written = write_table(tmp_path / "a.csv", DECODERS[decoder], found_of(inner((1, 2, 4, 5), (2, 3, 4, 9))))
    assert (written.objects, written.remark) == (2, "")
    first, _ = csv.DictReader((tmp_path / "a.csv").read_text().splitlines())
    assert list(first) == names_of(SIDE_COLUMNS)
    assert (first["sides"], first["touches_border"], first["outcome"], first["direction_y"]) == (
        "both", "false", "", "1.0000")  # fmt: skip


def test_a_volume_without_synapses_has_no_row() -> None:
    assert rows_of(np.zeros((2, 3, 4), np.uint64)) == []
