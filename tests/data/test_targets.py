import numpy as np
import pytest

from connectomics.config.data import RejectSamplingConfig, TargetConfig
from connectomics.data.positions import find_positions
from connectomics.data.sampling import build_sampler
from connectomics.data.targets import NOT_ANNOTATED, TARGETS, Target, build_target
from connectomics.data.volume import CodedLabel
from connectomics.errors import ConfigError, VolumeError
from connectomics.geometry import Box
from connectomics.volumes.labels import CREMI_BACKGROUND, EXCLUDED
from connectomics.volumes.source import ArraySource


def test_any_cleft_id_is_foreground_also_those_that_a_byte_cannot_hold() -> None:
    ids = np.array([0, 1, 255, 256, 2**40], np.uint64).reshape(1, 1, 1, 5)
    assert TARGETS["cleft"]().encode(ids, "main").tolist() == [[[0, 1, 1, 1, 1]]]


def test_a_challenge_file_marks_what_nobody_annotated() -> None:
    ids = np.array([CREMI_BACKGROUND, 0, 7, EXCLUDED], np.uint64).reshape(1, 1, 1, 4)
    assert TARGETS["cleft"]().encode(ids, "cremi").tolist() == [[[0, 1, 1, NOT_ANNOTATED]]]


def test_a_channel_is_one_where_one_of_its_classes_is() -> None:
    target = Target(TARGETS["cleft"]().encode, classes={"a": (1,), "b": (2,), "both": (1, 2)})
    codes = np.array([0, 1, 2, NOT_ANNOTATED], np.uint8).reshape(1, 1, 4)
    channels = target.channels(codes)
    assert channels.dtype == np.float32
    assert channels.shape == (target.num_channels, 1, 1, 4)
    assert channels[:, 0, 0].tolist() == [[0, 1, 0, 0], [0, 0, 1, 0], [0, 1, 1, 0]]


def test_voxels_outside_the_mask_are_not_annotated() -> None:
    label = ArraySource.of(np.array([0, 5, 5], np.uint64).reshape(1, 1, 3))
    mask = ArraySource.of(np.array([1, 1, 0], np.uint8).reshape(1, 1, 3))
    coded = CodedLabel(label, mask, TARGETS["cleft"]())
    assert coded.read(Box((0, 0, 1), (1, 1, 3))).tolist() == [[[[1, NOT_ANNOTATED]]]]
    assert label.read_all().ravel().tolist() == [0, 5, 5]


def test_a_label_that_means_nothing_is_refused_by_name() -> None:
    coded = CodedLabel(ArraySource.of(np.zeros((1, 1, 3), np.float32), location="p.h5"), None, TARGETS["cleft"]())
    with pytest.raises(VolumeError, match=r"p\.h5.*float32"):
        coded.read_all()


def polarity(exclusive: bool = False) -> Target:
    return build_target(TargetConfig(type="polarity", kwargs={"exclusive": exclusive}))


def sides() -> np.ndarray:
    return np.array([0, 1, 2, 255, 256, 2**40 + 1], np.uint64).reshape(1, 1, 1, 6)


def test_the_union_of_the_sides_is_a_channel_of_its_own() -> None:
    target = polarity()
    assert target.names == ("pre", "post", "union")
    channels = target.channels(target.encode(sides(), "main"))
    assert channels[:, 0, 0].tolist() == [[0, 1, 0, 1, 0, 1], [0, 0, 1, 0, 1, 0], [0, 1, 1, 1, 1, 1]]


def test_of_exclusive_classes_every_annotated_voxel_has_exactly_one() -> None:
    target = polarity(exclusive=True)
    assert target.names == ("background", "pre", "post")
    codes = target.encode(sides(), "main")
    codes[..., -1] = NOT_ANNOTATED
    assert target.channels(codes)[:, 0, 0].tolist() == [[1, 0, 0, 0, 0, 0], [0, 1, 0, 1, 0, 0], [0, 0, 1, 0, 1, 0]]


def test_the_background_is_no_foreground_of_any_target() -> None:
    assert TARGETS["cleft"]().foreground == (0,)
    assert polarity().foreground == (0, 1, 2)
    assert polarity(exclusive=True).foreground == (1, 2)


@pytest.mark.parametrize("exclusive", [False, True])
def test_a_label_of_classes_and_one_of_ids_teach_the_same(exclusive: bool) -> None:
    target, ids = polarity(exclusive), sides()
    classes = np.where(ids == 0, 0, 2 - ids % np.uint64(2)).astype(np.uint8)
    np.testing.assert_array_equal(target.encode(ids, "main"), target.encode(classes, "main"))


@pytest.mark.parametrize("exclusive", [False, True])
def test_rejection_counts_both_sides_together(exclusive: bool) -> None:
    label = np.zeros((1, 2, 12), np.uint64)
    label[0, :, 2:4], label[0, :, 4:6] = 7, 8  # 4 voxels each
    codes = CodedLabel(ArraySource.of(label), None, polarity(exclusive))
    found = find_positions(codes, (1, 2, 4), (0, 0, 0), "reflect", size_thres=8)
    assert [found.rich[i] for i in range(len(found.rich))] == [2]
    assert found.largest == 8
    assert build_sampler(["v"], [found], RejectSamplingConfig(size_thres=8, p=1.0)).draw(np.random.default_rng(0)) == (
        0,
        (0, 0, 2),
    )


@pytest.mark.parametrize(
    ("config", "says"),
    [
        (TargetConfig(type="polarty"), r"data\.target\.type is 'polarty'.*did you mean 'polarity'"),
        (TargetConfig(type="polarity", kwargs={"exclusve": True}), r"data\.target\.kwargs\.exclusve .*did you mean"),
        (TargetConfig(type="cleft", kwargs={"exclusive": True}), "not an argument of cleft .it takes none"),
        (TargetConfig(type="polarity", kwargs={"exclusive": "no"}), "it must be true or false"),
    ],
)
def test_a_target_that_cannot_be_is_refused(config: TargetConfig, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        build_target(config)
