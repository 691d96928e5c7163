"""The ids of a polarity label become sides before any cast, and ids without a partner are named."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectomics.errors import VolumeError
from connectomics.sides import POST, PRE
from connectomics.volumes.labels import CREMI_BACKGROUND, OUTSIDE
from connectomics.volumes.side_ids import collect_ids, find_one_sided, split_sides

INTEGERS = [np.uint8, np.uint16, np.uint32, np.uint64, np.int8, np.int16, np.int32, np.int64]


def ids_of(*values: int, dtype: type = np.uint64) -> np.ndarray:
    return np.array(values, dtype).reshape(1, 1, -1)


@given(st.integers(0, (OUTSIDE - 1) // 2 - 1))
def test_odd_ids_are_pre_and_even_ids_post_however_large_they_are(k: int) -> None:
    assert split_sides(ids_of(0, 2 * k + 1, 2 * k + 2)).ravel().tolist() == [0, PRE, POST]


@pytest.mark.parametrize("dtype", [*INTEGERS, ">u8", ">i2"])
def test_every_integer_type_tells_the_sides(dtype: type) -> None:
    sides = split_sides(ids_of(0, 1, 2, 7, 8, 127, dtype=dtype))
    assert sides.dtype == np.uint8
    assert sides.ravel().tolist() == [0, PRE, POST, PRE, POST, PRE]


def test_the_ids_themselves_are_left_as_they_are() -> None:
    ids = ids_of(0, 255, 256, 2**40)
    split_sides(ids)
    assert ids.ravel().tolist() == [0, 255, 256, 2**40]


@pytest.mark.parametrize(
    ("ids", "says"),
    [
        (ids_of(0, 1, dtype=np.bool_), "bool; it cannot tell"),
        (ids_of(0, 1, dtype=np.float32), "probability map is not a label"),
        (ids_of(0, -1, dtype=np.int64), "no id is negative"),
        (ids_of(1, CREMI_BACKGROUND), "marker of CREMI"),
    ],
)
def test_ids_that_cannot_name_sides_are_refused(ids: np.ndarray, says: str) -> None:
    with pytest.raises(VolumeError, match=says):
        split_sides(ids)


def test_a_challenge_file_names_clefts_and_no_sides() -> None:
    with pytest.raises(VolumeError, match="those ids name no sides"):
        split_sides(ids_of(1, 2), "cremi")


def test_partners_may_lie_in_different_parts_of_a_volume() -> None:
    found = find_one_sided(collect_ids([ids_of(0, 1, 5), ids_of(2, 6, 0), ids_of(0)]))
    assert (found.pre, found.post) == ((), ())
    assert str(found) == ""


def test_ids_without_a_partner_are_named_with_the_partner_they_lack() -> None:
    found = find_one_sided(collect_ids([ids_of(1, 2, 7, 2**40 + 1), ids_of(12)]))
    assert (found.pre, found.post) == ((7, 2**40 + 1), (12,))
    assert str(found) == (
        "pre-synaptic ids 7, 1099511627777 without their partners 8, 1099511627778 "
        "and post-synaptic id 12 without its partner 11"
    )


def test_a_long_list_of_ids_ends_with_how_many_more_there_are() -> None:
    assert str(find_one_sided(set(range(1, 40, 2)))).startswith(
        "pre-synaptic ids 1, 3, 5, 7, 9, 11, 13, 15, 17, 19 and 10 more without their partners 2, 4,"
    )


@given(st.lists(st.integers(1, 60), max_size=30))
def test_an_id_is_one_sided_exactly_where_its_partner_occurs_nowhere(values: list[int]) -> None:
    found = find_one_sided(collect_ids([ids_of(0, *values)]))
    lonely = {i for i in values if (i + 1 if i % 2 else i - 1) not in values}
    assert set(found.pre) | set(found.post) == lonely
    assert all(i % 2 == 1 for i in found.pre)
    assert all(i % 2 == 0 for i in found.post)
