"""Sections are moved as the table says, no voxel more or less."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connectomics.alignment.shift_table import ShiftTable, read_table, tabulate, write_table
from connectomics.alignment.stack import MovedSource, Stack
from connectomics.errors import VolumeError
from connectomics.geometry import Box
from connectomics.volumes.source import ArraySource
from connectomics.volumes.write import write_volume

SHAPE = (7, 9, 11)
VOXELS = np.arange(1, 1 + 7 * 9 * 11).reshape(SHAPE)  # every voxel says where it is


def random_table(rng: np.random.Generator, reach: int) -> ShiftTable:
    return ShiftTable(rng.integers(-reach, reach + 1, (7, 2)), rng.integers(0, 7, 7))


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_a_moved_voxel_is_the_one_that_the_table_names(seed: int) -> None:
    rng = np.random.default_rng(seed)
    table = random_table(rng, 12)
    origin = tuple(int(n) for n in rng.integers(-4, 5, 3))
    moved = MovedSource(ArraySource.of(VOXELS, (40, 4, 4)), table, origin, (6, 10, 8), fill=-1)
    start = rng.integers(0, (3, 5, 4))
    box = Box.at(start.tolist(), (3, 5, 4))
    expected = np.full(box.shape, -1)
    for place in np.ndindex(box.shape):
        z, y, x = np.add(np.add(place, start), origin)
        if 0 <= z < 7:
            there = (table.shown[z], y + table.shifts[z, 0], x + table.shifts[z, 1])
            if all(0 <= a < n for a, n in zip(there, SHAPE, strict=True)):
                expected[place] = VOXELS[there]
    np.testing.assert_array_equal(moved.read(box)[0], expected)
    assert moved.info.offset_nm == tuple(np.multiply(origin, (40.0, 4.0, 4.0)))


def test_sections_are_those_of_the_volume_in_any_order() -> None:
    stack = Stack(ArraySource.of(np.repeat(VOXELS, 4, axis=0)))
    for z in np.random.default_rng(0).integers(0, 28, 60).tolist():
        np.testing.assert_array_equal(stack.section(z), VOXELS[z // 4])


def test_positions_are_rounded_about_the_anchor_and_bad_sections_follow_the_nearest_good_one() -> None:
    positions = np.array([[0, 0], [10.4, 0], [10.6, -3], [500, 500], [12, 1], [13, 1]])
    table = tabulate(positions, {3: "", 4: ""}, range(1, 3))
    assert table.shown.tolist() == [0, 1, 2, 2, 5, 5]
    assert table.replaced == [3, 4]
    np.testing.assert_array_equal(table.shifts[3], table.shifts[2])
    np.testing.assert_array_equal(table.shifts, np.rint(positions[[0, 1, 2, 2, 5, 5]] - [10.5, -1.5]))
    with pytest.raises(VolumeError, match="every section is bad"):
        tabulate(positions, range(6), range(6))


def test_a_table_comes_back_from_its_file_and_from_a_volume(tmp_path: Path) -> None:
    table = random_table(np.random.default_rng(0), 300)
    write_table(tmp_path / "shifts.csv", table)
    write_volume(tmp_path / "im.h5", VOXELS.astype(np.uint16), table.attributes())
    for name in ("shifts.csv", "im.h5"):
        back = read_table(tmp_path / name, 7)
        np.testing.assert_array_equal(back.shifts, table.shifts)
        np.testing.assert_array_equal(back.shown, table.shown)


def test_a_table_without_the_column_shown_replaces_nothing(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("z,y,x\n0,1,2\n1,-3,4\n")
    back = read_table(tmp_path / "t.csv", 2)
    assert (back.shifts.tolist(), back.replaced) == ([[1, 2], [-3, 4]], [])


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("", "must begin with the line z,y,x"),
        ("a,b\n1,2\n", "must begin with the line z,y,x or z,y,x,shown; it begins with 'a,b'"),
        ("z,y,x\n0,1.5,2\n1,0,0\n", "must hold whole numbers, 3 in a line"),
        ("z,y,x\n0,1\n1,0,0\n", "must hold whole numbers"),
        ("z,y,x\n0,1,2\n", "has 1 sections, the volume has 2"),
        ("z,y,x\n1,1,2\n0,1,2\n", "column z must count the sections 0, 1, 2"),
        ("z,y,x,shown\n0,0,0,0\n1,0,0,2\n", "column shown names a section that the volume, with 2, has not"),
    ],
)
def test_a_table_that_is_none_is_told(tmp_path: Path, content: str, says: str) -> None:
    (tmp_path / "t.csv").write_text(content)
    with pytest.raises(VolumeError) as caught:
        read_table(tmp_path / "t.csv", 2)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_files_without_a_table_are_told(tmp_path: Path) -> None:
    write_volume(tmp_path / "im.h5", VOXELS.astype(np.uint16), {})
    with pytest.raises(VolumeError, match="holds no table of shifts"):
        read_table(tmp_path / "im.h5", 7)
    with pytest.raises(VolumeError, match="does not exist"):
        read_table(tmp_path / "none.csv", 7)
