import numpy as np
import pytest

from connectomics.data.targets import NOT_ANNOTATED, TARGETS, Target
from connectomics.data.volume import CodedLabel
from connectomics.errors import VolumeError
from connectomics.geometry import Box
from connectomics.volumes.labels import CREMI_BACKGROUND, EXCLUDED
from connectomics.volumes.source import ArraySource


def test_any_cleft_id_is_foreground_also_those_that_a_byte_cannot_hold() -> None:
    ids = np.array([0, 1, 255, 256, 2**40], np.uint64).reshape(1, 1, 1, 5)
    assert TARGETS["cleft"].encode(ids, "main").tolist() == [[[0, 1, 1, 1, 1]]]


def test_a_challenge_file_marks_what_nobody_annotated() -> None:
    ids = np.array([CREMI_BACKGROUND, 0, 7, EXCLUDED], np.uint64).reshape(1, 1, 1, 4)
    assert TARGETS["cleft"].encode(ids, "cremi").tolist() == [[[0, 1, 1, NOT_ANNOTATED]]]


def test_a_channel_is_one_where_one_of_its_classes_is() -> None:
    target = Target(TARGETS["cleft"].encode, classes=((1,), (2,), (1, 2)))
    codes = np.array([0, 1, 2, NOT_ANNOTATED], np.uint8).reshape(1, 1, 4)
    channels = target.channels(codes)
    assert channels.dtype == np.float32
    assert channels.shape == (target.num_channels, 1, 1, 4)
    assert channels[:, 0, 0].tolist() == [[0, 1, 0, 0], [0, 0, 1, 0], [0, 1, 1, 0]]


def test_voxels_outside_the_mask_are_not_annotated() -> None:
    label = ArraySource.of(np.array([0, 5, 5], np.uint64).reshape(1, 1, 3))
    mask = ArraySource.of(np.array([1, 1, 0], np.uint8).reshape(1, 1, 3))
    coded = CodedLabel(label, mask, TARGETS["cleft"])
    assert coded.read(Box((0, 0, 1), (1, 1, 3))).tolist() == [[[[1, NOT_ANNOTATED]]]]
    assert label.read_all().ravel().tolist() == [0, 5, 5]


def test_a_label_that_means_nothing_is_refused_by_name() -> None:
    coded = CodedLabel(ArraySource.of(np.zeros((1, 1, 3), np.float32), location="p.h5"), None, TARGETS["cleft"])
    with pytest.raises(VolumeError, match=r"p\.h5.*float32"):
        coded.read_all()
