import numpy as np
import pytest

from connectomics.data.augment.geometric import Geometry, Jump, rotation
from connectomics.data.resample import cut
from connectomics.data.targets import NOT_ANNOTATED
from connectomics.data.volume import LearningVolume
from connectomics.geometry import ZYX, Box
from connectomics.volumes.intensity import IntensityRange
from connectomics.volumes.padding import PadMode, read_padded
from connectomics.volumes.source import ArraySource
from tests.data.conftest import coordinates, in_memory

STARTS = [(2, 3, 4), (-2, -5, -9), (5, 13, 12), (-30, 40, -60)]


def distinct(shape: ZYX, dtype: type = np.uint8) -> LearningVolume:
    rng = np.random.default_rng(0)
    image = rng.integers(0, 250, (2, *shape)).astype(dtype)
    return in_memory(image, rng.integers(0, 2, shape, dtype=np.uint8))


@pytest.mark.parametrize("mode", ["reflect", "replicate", "constant"])
@pytest.mark.parametrize("start", STARTS)
@pytest.mark.parametrize("flip", [False, True])
def test_a_patch_that_stays_in_place_is_what_reading_with_padding_gives(mode: PadMode, start: ZYX, flip: bool) -> None:
    volume, shape = distinct((8, 20, 22)), (4, 10, 12)
    box = Box.at(start, shape)
    order = slice(None, None, -1 if flip else 1)
    image, codes = cut(volume, start, Geometry(shape, flip_z=flip), mode)
    np.testing.assert_array_equal(image, read_padded(volume.image, box, mode)[:, order])
    expected = read_padded(volume.codes, box, mode)[0]
    if mode == "constant":
        outside = read_padded(ArraySource.of(np.ones(volume.shape, np.uint8)), box, mode)[0] == 0
        expected = np.where(outside, NOT_ANNOTATED, expected)
    np.testing.assert_array_equal(codes, expected[order])


@pytest.mark.parametrize("dtype", [np.uint8, np.int8, np.uint16, np.int16, np.int32, np.float32, np.float64, ">u2"])
def test_images_of_every_type_are_turned_by_a_right_angle_exactly(dtype: type) -> None:
    image = np.random.default_rng(0).integers(0, 120, (1, 3, 30, 30)).astype(dtype)
    volume = in_memory(image, np.zeros((3, 30, 30), np.uint8))
    turned, _ = cut(volume, (0, 5, 6), Geometry((3, 16, 16), linear=rotation(90)), "reflect")
    expected = np.rot90(image[:, :, 5:21, 6:22], axes=(2, 3))
    options = [np.rot90(expected, k, axes=(2, 3)) for k in (0, 2)]
    assert any(np.abs(turned - option.astype(np.float64)).max() < 0.01 for option in options)


def test_only_voxels_near_the_patch_are_read() -> None:
    boxes = []

    class Watched(ArraySource.__base__):
        def __init__(self, source: ArraySource) -> None:
            self.info, self._source = source.info, source

        def _read(self, box: Box) -> np.ndarray:
            boxes.append(box)
            return self._source.read(box)

    plain = distinct((8, 200, 300))
    image = Watched(plain.image)
    volume = LearningVolume("watched", image, Watched(plain.codes), IntensityRange(0, 255), 0.5)
    cut(volume, (2, 50, 60), Geometry((3, 20, 20), linear=rotation(45), jump=Jump(1, 3, (3, -2))), "reflect")
    assert len(boxes) == 2
    for box in boxes:
        assert box.shape[0] == 3
        assert max(box.shape[1:]) < 20 * 2**0.5 + 8


def test_a_patch_far_from_the_origin_is_cut_exactly() -> None:
    wide = coordinates((1, 3, 40_000), 0)
    image, _ = cut(wide, (0, 0, 39_900), Geometry((1, 3, 50), jump=Jump(0, 1, (0, 7))), "reflect")
    np.testing.assert_array_equal(image[2, 0, 0], np.arange(39_893, 39_943))


def test_bytes_are_scaled_as_everywhere() -> None:
    volume = distinct((3, 8, 8))
    ranged = LearningVolume("a", volume.image, volume.codes, IntensityRange(20, 180), 0.5)
    raw = volume.image.read_all()
    np.testing.assert_array_equal(ranged.scale(raw), ranged.intensity.scale(raw))
