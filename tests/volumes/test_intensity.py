import numpy as np
import pytest

from connectomics.errors import VolumeError
from connectomics.volumes import intensity
from connectomics.volumes.intensity import IntensityRange, measure_intensity
from connectomics.volumes.source import ArraySource


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.uint16, np.float32])
@pytest.mark.parametrize(("low", "high"), [(0.0, 1.0), (0.01, 0.99), (0.2, 0.5)])
def test_the_range_is_that_of_sorting_all_voxels(
    dtype: type, low: float, high: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(intensity, "SLAB_BYTES", 300)  # several slabs
    voxels = np.random.default_rng(0).gamma(3, 12, (7, 8, 9)).astype(dtype)
    found = measure_intensity(ArraySource.of(voxels), "0-1", low, high)
    ordered = np.sort(voxels, axis=None)
    last = voxels.size - 1
    step = 0 if dtype is not np.float32 else float(voxels.max() - voxels.min()) / 65_000
    assert found.low == pytest.approx(float(ordered[int(np.floor(low * last))]), abs=step)
    assert found.high == pytest.approx(float(ordered[int(np.ceil(high * last))]), abs=step)


def test_scaling_maps_the_range_to_zero_and_one_and_clips() -> None:
    scaled = IntensityRange(50, 150).scale(np.array([0, 50, 100, 150, 255], np.uint8))
    np.testing.assert_allclose(scaled, [0, 0, 0.5, 1, 1])
    assert scaled.dtype == np.float32


def test_none_takes_the_values_as_they_are() -> None:
    found = measure_intensity(ArraySource.of(np.full((2, 3, 4), 7, np.uint8)), "none", 0.0, 1.0)
    np.testing.assert_array_equal(found.scale(np.array([7, 255], np.uint8)), [7, 255])


def test_a_constant_volume_becomes_zero() -> None:
    volume = np.full((2, 3, 4), 9, np.uint8)
    np.testing.assert_array_equal(measure_intensity(ArraySource.of(volume), "0-1", 0.0, 1.0).scale(volume), 0)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("normalize", ["0-1", "none"])
def test_what_is_no_number_is_named_with_its_place(value: float, normalize: str) -> None:
    voxels = np.zeros((4, 5, 6), np.float32)
    voxels[3, 1, 2] = value
    with pytest.raises(VolumeError, match=r"at voxel \(z, y, x\) = \(3, 1, 2\)"):
        measure_intensity(ArraySource.of(voxels), normalize, 0.0, 1.0)  # type: ignore[arg-type]
