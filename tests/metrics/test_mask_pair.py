"""Two masks are compared on one grid, without their excluded voxels."""

from __future__ import annotations

import numpy as np
import pytest

from connectomics.errors import VolumeError
from connectomics.metrics import GridError, LabelPair, MaskPair
from connectomics.metrics.pair import require_same_spacing

MASK = np.ones((2, 3, 4), bool)
CREMI = (40.0, 4.0, 4.0)


def test_masks_of_different_shapes_are_refused_as_the_users_slip_and_as_a_wrong_value() -> None:
    with pytest.raises(ValueError, match=r"predicted has shape \(1, 3, 4\), truth has \(2, 3, 4\)") as caught:
        MaskPair(MASK[:1], MASK, CREMI)
    assert isinstance(caught.value, VolumeError)
    with pytest.raises(GridError, match="annotated"):
        MaskPair(MASK, MASK, CREMI, annotated=MASK[:, :1])


@pytest.mark.parametrize("other", [(40, 4, 8), (4, 4, 40), (40, 4, 4.01)])
def test_voxel_sizes_that_differ_are_refused(other: tuple[float, float, float]) -> None:
    with pytest.raises(GridError, match="must be the same"):
        require_same_spacing(other, CREMI)


def test_a_voxel_size_that_was_stored_as_float32_is_the_same() -> None:
    require_same_spacing(tuple(float(np.float32(size)) for size in (50, 4.6, 4.6)), (50, 4.6, 4.6))


@pytest.mark.parametrize("wrong", [MASK.astype(np.uint8), MASK.astype(float), MASK[0]])
def test_what_is_not_a_mask_is_refused(wrong: np.ndarray) -> None:
    with pytest.raises(ValueError, match="a mask is bool"):
        MaskPair(wrong, MASK, CREMI)
    with pytest.raises(ValueError, match="a mask is bool"):
        MaskPair(MASK, wrong, CREMI)


def test_excluded_voxels_leave_both_masks_and_the_callers_arrays_as_they_were() -> None:
    annotated = np.zeros_like(MASK)
    annotated[0] = True
    predicted = MASK.copy()
    pair = MaskPair(predicted, MASK, CREMI, annotated)
    np.testing.assert_array_equal(pair.predicted, annotated)
    np.testing.assert_array_equal(pair.truth, annotated)
    assert predicted.all()


def test_a_mask_without_excluded_voxels_is_not_copied() -> None:
    annotated = MASK.copy()
    annotated[0, 0, 0] = False
    truth = annotated.copy()
    pair = MaskPair(MASK, truth, CREMI, annotated)
    assert pair.truth is truth
    assert pair.predicted is not MASK


def test_ids_keep_their_numbers_and_lose_what_is_excluded() -> None:
    ids = np.arange(24, dtype=np.uint64).reshape(2, 3, 4)
    annotated = ids % 5 != 0
    pair = LabelPair(ids, ids.astype(np.uint8), CREMI, annotated)
    np.testing.assert_array_equal(pair.predicted, np.where(annotated, ids, 0))
    assert (pair.predicted.dtype, pair.truth.dtype) == (np.uint64, np.uint8)
    np.testing.assert_array_equal(pair.masks.predicted, (ids > 0) & annotated)
    assert pair.masks is pair.masks
    assert LabelPair(ids, ids, CREMI, annotated | True).predicted is ids


def test_ids_that_are_signed_or_of_another_shape_are_refused() -> None:
    ids = np.zeros((2, 3, 4), np.uint64)
    with pytest.raises(ValueError, match="truth is int64"):
        LabelPair(ids, ids.astype(np.int64), CREMI)
    with pytest.raises(GridError, match="predicted has shape"):
        LabelPair(ids[:1], ids, CREMI)
    with pytest.raises(GridError, match="annotated has shape"):
        LabelPair(ids, ids, CREMI, annotated=ids[:, :1] == 0)
