import numpy as np
import pytest
from scipy import ndimage

from connectomics.config.decoding import DecodingConfig
from connectomics.decoding import decode, in_voxels, pick_decoder, remove_small
from connectomics.errors import ConfigError


def test_a_probability_at_the_threshold_is_a_cleft() -> None:
    probability = np.array([[[[0.0, 0.29999, 0.3, 1.0]]]], np.float32)
    mask = decode(probability, DecodingConfig(threshold=0.3))
    assert mask.tolist() == [[[0, 0, 1, 1]]]
    assert mask.dtype == np.uint8


def test_the_mask_is_that_of_the_first_channel() -> None:
    probability = np.stack([np.full((2, 3, 4), 0.2), np.full((2, 3, 4), 0.9)]).astype(np.float32)
    assert not decode(probability, DecodingConfig()).any()


def test_an_unknown_decoder_is_named_with_the_close_match() -> None:
    with pytest.raises(ConfigError, match="did you mean 'threshold'"):
        decode(np.zeros((1, 1, 1, 1), np.float32), DecodingConfig(name="treshold"))


@pytest.mark.parametrize("connectivity", [6, 18, 26])
def test_what_is_left_are_the_components_that_are_large_enough(connectivity: int) -> None:
    mask = np.random.default_rng(connectivity).random((5, 12, 14)) < 0.2
    rank = {6: 1, 18: 2, 26: 3}[connectivity]
    ids, number = ndimage.label(mask, ndimage.generate_binary_structure(3, rank))
    sizes = np.bincount(ids.ravel())
    for min_size in (0, 1, 2, 5, int(sizes[1:].max()), int(sizes[1:].max()) + 1):
        expected = mask & (sizes[ids] >= min_size)
        np.testing.assert_array_equal(remove_small(mask, min_size, connectivity), expected)
    assert number > 5


def test_a_decoder_with_a_least_size_needs_the_whole_volume_and_leaves_out_what_is_smaller() -> None:
    probability = np.zeros((1, 2, 4, 6), np.float32)
    probability[0, :, 0, 0] = probability[0, 0, 3, 3:6] = 0.9
    config = DecodingConfig(min_size=3)
    assert decode(probability, config).sum() == 3
    assert decode(probability, DecodingConfig(min_size=2)).sum() == 5
    decoder = pick_decoder(config)
    assert not decoder.by_section(config)
    assert decoder.by_section(DecodingConfig())


@pytest.mark.parametrize("spacing", [(40.0, 4.0, 4.0), (50.0, 4.6, 4.6), (30.0, 8.0, 8.0)])
def test_a_minimum_size_in_cubic_micrometres_is_the_least_number_of_voxels_that_has_it(
    spacing: tuple[float, float, float],
) -> None:
    voxel = float(np.prod(spacing)) / 1e9
    for size in (0.0, 0.0001, 12 * voxel, 12.5 * voxel):
        least = in_voxels(DecodingConfig(min_size_um3=size), spacing).min_size
        assert least * voxel >= size * (1 - 1e-6)
        assert (least - 1) * voxel < size or least == 0
    assert in_voxels(DecodingConfig(min_size_um3=12 * voxel), spacing).min_size == 12
    assert in_voxels(DecodingConfig(min_size=40, min_size_um3=12 * voxel), spacing).min_size == 40
