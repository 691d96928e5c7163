import numpy as np
import pytest

from connectomics.errors import ConfigError
from connectomics.geometry import Box
from connectomics.lookup import pick, suggest


def test_a_box_is_the_index_of_its_voxels() -> None:
    box = Box.at((1, 2, 3), (2, 3, 1))
    assert (box.stop, box.shape, box.size) == ((3, 5, 4), (2, 3, 1), 6)
    volume = np.arange(5 * 6 * 7).reshape(5, 6, 7)
    np.testing.assert_array_equal(volume[box.slices], volume[1:3, 2:5, 3:4])


@pytest.mark.parametrize(
    ("start", "shape", "inside"),
    [
        ((0, 0, 0), (5, 6, 7), True),
        ((1, 0, 0), (5, 6, 7), False),
        ((-1, 0, 0), (2, 2, 2), False),
        ((4, 5, 6), (1, 1, 1), True),
    ],
)
def test_a_box_knows_whether_a_volume_holds_it(start, shape, inside) -> None:
    assert Box.at(start, shape).lies_within((5, 6, 7)) is inside


def test_a_name_is_picked_or_answered_with_what_there_is() -> None:
    table = {"jaccard": 1, "dice": 2}
    assert pick(table, "dice", "evaluation.metrics") == 2
    with pytest.raises(ConfigError) as caught:
        pick(table, "jacard", "evaluation.metrics")
    assert str(caught.value) == (
        "evaluation.metrics is 'jacard'; it must be one of jaccard, dice; did you mean 'jaccard'?"
    )
    assert suggest("zzz", table) == ""


@pytest.mark.parametrize("depth", [1, 2, 3, 4, 5, 100])
def test_the_slabs_of_a_box_hold_each_of_its_voxels_once_and_in_order(depth):
    box = Box((2, 1, 3), (7, 4, 5))
    seen = np.zeros((9, 9, 9), int)
    slabs = list(box.slabs(depth))
    for slab in slabs:
        assert slab.shape[0] <= depth
        seen[slab.slices] += 1
    expected = np.zeros_like(seen)
    expected[box.slices] = 1
    np.testing.assert_array_equal(seen, expected)
    assert [slab.start[0] for slab in slabs] == list(range(2, 7, depth))


def test_the_whole_of_a_volume_is_a_box_of_its_shape():
    assert Box.whole((4, 5, 6)).shape == (4, 5, 6)
    assert Box.whole((4, 5, 6)).start == (0, 0, 0)
