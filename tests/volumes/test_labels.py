"""Label ids become masks before any cast."""

from __future__ import annotations

import numpy as np
import pytest

from connectomics.errors import ConfigError, VolumeError
from connectomics.volumes.labels import CREMI_BACKGROUND, EXCLUDED, OUTSIDE, read_label, split_clefts
from connectomics.volumes.source import ArraySource, VolumeInfo

INTEGERS = [np.uint8, np.uint16, np.uint32, np.uint64, np.int8, np.int16, np.int32, np.int64]


def ids_of(*values: int, dtype: type = np.uint64) -> np.ndarray:
    return np.array(values, dtype).reshape(1, 1, -1)


def test_in_a_challenge_file_only_the_largest_id_is_background_and_zero_is_a_cleft() -> None:
    label = split_clefts(ids_of(0, 1, CREMI_BACKGROUND, 2**63, OUTSIDE - 1), "cremi")
    assert label.foreground.ravel().tolist() == [True, True, False, True, True]
    assert label.annotated is None


def test_in_a_challenge_file_excluded_and_outside_voxels_are_neither_cleft_nor_background() -> None:
    label = split_clefts(ids_of(7, CREMI_BACKGROUND, EXCLUDED, OUTSIDE), "cremi")
    assert label.foreground.ravel().tolist() == [True, False, False, False]
    assert label.annotated is not None
    assert label.annotated.ravel().tolist() == [True, True, False, False]


def test_big_endian_ids_mean_the_same() -> None:
    label = split_clefts(ids_of(7, CREMI_BACKGROUND, EXCLUDED).astype(">u8"), "cremi")
    assert label.foreground.ravel().tolist() == [True, False, False]
    assert label.annotated is not None


@pytest.mark.parametrize("dtype", [t for t in INTEGERS if t is not np.uint64] + [np.bool_, np.float32, np.float64])
def test_a_challenge_label_of_any_type_but_uint64_is_refused(dtype: type) -> None:
    with pytest.raises(VolumeError, match="uint64"):
        split_clefts(np.ones((1, 2, 2), dtype), "cremi")


@pytest.mark.parametrize("dtype", INTEGERS)
def test_in_a_main_file_zero_is_the_background_whatever_the_type(dtype: type) -> None:
    label = split_clefts(ids_of(0, 1, 0, np.iinfo(dtype).max // 2, dtype=dtype), "main")
    assert label.foreground.ravel().tolist() == [False, True, False, True]
    assert label.foreground.dtype == np.bool_
    assert label.annotated is None


def test_a_mask_is_its_own_foreground() -> None:
    mask = np.random.default_rng(0).random((2, 3, 4)) < 0.5
    np.testing.assert_array_equal(split_clefts(mask, "main").foreground, mask)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, np.complex64])
def test_a_label_that_is_not_whole_numbers_is_refused(dtype: type) -> None:
    with pytest.raises(VolumeError, match="whole numbers"):
        split_clefts(np.zeros((1, 2, 2), dtype), "main")


@pytest.mark.parametrize("marker", [CREMI_BACKGROUND, EXCLUDED, OUTSIDE])
def test_a_challenge_file_is_not_read_as_a_main_one(marker: int) -> None:
    with pytest.raises(VolumeError, match='"cremi"'):
        split_clefts(ids_of(0, 1, marker), "main")
    with pytest.raises(VolumeError, match="negative"):
        split_clefts(ids_of(0, 1, marker).astype(np.int64), "main")


def test_an_unknown_layout_is_told() -> None:
    with pytest.raises(ConfigError, match="did you mean 'cremi'"):
        split_clefts(ids_of(0), "cremy")  # type: ignore[arg-type]


@pytest.mark.parametrize("layout", ["main", "cremi"])
def test_no_voxels_are_no_clefts(layout: str) -> None:
    label = split_clefts(np.zeros((0, 4, 4), np.uint64), layout)  # type: ignore[arg-type]
    assert label.foreground.shape == (0, 4, 4)
    assert label.annotated is None


@pytest.mark.parametrize(
    ("dtype", "largest"), [(np.uint8, 255), (np.int32, 300), (np.uint64, 70_000), (np.uint64, 2**40)]
)
def test_a_label_read_whole_keeps_its_ids_in_the_smallest_type(dtype: type, largest: int) -> None:
    ids = np.zeros((20, 3, 4), dtype)  # more sections than are read at once
    ids[0, 0, 0], ids[19, 2, 3] = 7, largest
    label = read_label(ArraySource.of(ids))
    np.testing.assert_array_equal(label.ids, ids)
    assert (label.ids.dtype, label.annotated) == (np.min_scalar_type(largest), None)


def test_in_a_challenge_file_every_id_is_one_more_and_none_is_the_background() -> None:
    ids = ids_of(0, 41, CREMI_BACKGROUND, EXCLUDED)
    source = ArraySource(ids[np.newaxis], VolumeInfo("a", 1, ids.shape, ids.dtype, None, layout="cremi"))
    label = read_label(source)
    assert label.ids.ravel().tolist() == [1, 42, 0, 0]
    assert label.annotated is not None
    assert label.annotated.ravel().tolist() == [True, True, True, False]
