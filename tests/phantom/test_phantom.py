from itertools import product

import numpy as np
import pytest
from scipy import ndimage

from connectomics.errors import VolumeError
from connectomics.phantom import MIN_SHAPE, SPACING_NM, Phantom, make_phantom
from connectomics.phantom.noise import smooth_noise

SHAPE = (16, 192, 192)


@pytest.fixture(scope="module")
def phantom() -> Phantom:
    return make_phantom(SHAPE, np.random.default_rng(7))


def ids(volume: np.ndarray) -> list[int]:
    return [int(k) for k in np.unique(volume) if k]


def test_the_same_seed_gives_the_same_phantom(phantom: Phantom) -> None:
    again = make_phantom(SHAPE, np.random.default_rng(7))
    np.testing.assert_array_equal(again.image, phantom.image)
    np.testing.assert_array_equal(again.label, phantom.label)
    np.testing.assert_array_equal(again.polarity, phantom.polarity)


def test_another_seed_gives_another_phantom(phantom: Phantom) -> None:
    other = make_phantom(SHAPE, np.random.default_rng(8))
    assert (other.image != phantom.image).mean() > 0.9
    assert (other.label != phantom.label).any()


def test_arrays_are_typed_and_shaped_as_on_disk(phantom: Phantom) -> None:
    assert (phantom.image.shape, phantom.image.dtype) == (SHAPE, np.uint8)
    assert (phantom.label.shape, phantom.label.dtype) == (SHAPE, np.uint64)
    assert (phantom.polarity.shape, phantom.polarity.dtype) == (SHAPE, np.uint64)
    assert phantom.spacing_nm == SPACING_NM


def test_clefts_are_numbered_from_one_without_gaps(phantom: Phantom) -> None:
    assert ids(phantom.label) == list(range(1, len(ids(phantom.label)) + 1))


def test_there_are_enough_clefts_and_not_too_much_of_them(phantom: Phantom) -> None:
    assert len(ids(phantom.label)) >= 10
    assert 0.01 < (phantom.label > 0).mean() < 0.03


def test_a_cleft_spans_two_to_eight_neighbouring_sections(phantom: Phantom) -> None:
    for k in ids(phantom.label):
        cleft = phantom.label == k
        assert 2 <= cleft.any(axis=(1, 2)).sum() <= 8
        sections = np.flatnonzero(cleft.any(axis=(1, 2)))
        assert (np.diff(sections) == 1).all()


def test_no_density_means_no_cleft() -> None:
    assert not make_phantom((4, 64, 64), np.random.default_rng(0), synapses_per_um3=0).label.any()


def test_every_section_of_a_cleft_is_darker_than_its_surroundings(phantom: Phantom) -> None:
    darker = []
    for z, k in product(range(SHAPE[0]), ids(phantom.label)):
        cleft = phantom.label[z] == k
        if cleft.any():
            around = ndimage.binary_dilation(cleft, iterations=10) & (phantom.label[z] == 0)
            darker.append(float(phantom.image[z][around].mean()) - float(phantom.image[z][cleft].mean()))
    assert min(darker) > 15
    assert np.mean(darker) > 45


def test_the_label_lies_on_the_drawn_plate_to_the_pixel(phantom: Phantom) -> None:
    cleft = phantom.label > 0
    inside = {
        (dy, dx): phantom.image[np.roll(cleft, (dy, dx), axis=(1, 2))].mean()
        for dy, dx in product(range(-3, 4), repeat=2)
    }
    assert max(np.abs(min(inside, key=inside.__getitem__))) <= 1


def test_each_synapse_has_a_pre_and_a_post_side(phantom: Phantom) -> None:
    sides = set(ids(phantom.polarity))
    for k in ids(phantom.label):
        assert {2 * k - 1, 2 * k} <= sides
    assert max(sides) == 2 * len(ids(phantom.label))


def test_a_cleft_lies_within_its_own_two_sides_and_in_both(phantom: Phantom) -> None:
    for k in ids(phantom.label):
        within = phantom.polarity[phantom.label == k]
        assert set(ids(within)) == {2 * k - 1, 2 * k}
        assert within.all()


def test_the_two_sides_lie_on_opposite_sides_of_the_cleft(phantom: Phantom) -> None:
    for k in ids(phantom.label):
        z = int(np.argmax((phantom.label == k).sum(axis=(1, 2))))
        middle, pre, post = (
            np.mean(np.nonzero(mask[z]), axis=1)
            for mask in (phantom.label == k, phantom.polarity == 2 * k - 1, phantom.polarity == 2 * k)
        )
        assert np.dot(pre - middle, post - middle) < 0


def test_the_postsynaptic_half_of_the_clefts_is_the_denser_one(phantom: Phantom) -> None:
    cleft, post = phantom.label > 0, phantom.polarity % 2 == 0
    assert phantom.image[cleft & post].mean() < phantom.image[cleft & ~post].mean() - 10


@pytest.mark.parametrize("sigma", [(0, 0, 0), (0, 1, 1), (0.5, 1.5, 1.5), (0.5, 2, 2), (1, 3, 3)])
def test_no_threshold_of_the_image_finds_the_clefts(phantom: Phantom, sigma: tuple[float, float, float]) -> None:
    smooth = ndimage.gaussian_filter(phantom.image.astype(np.float32), sigma)
    cleft = phantom.label > 0
    jaccard = [
        np.count_nonzero(dark & cleft) / np.count_nonzero(dark | cleft)
        for dark in (smooth < threshold for threshold in range(20, 200, 6))
    ]
    assert max(jaccard) < 0.25


def test_every_section_has_its_own_brightness(phantom: Phantom) -> None:
    assert np.std(phantom.image.mean(axis=(1, 2))) > 2


@pytest.mark.parametrize("shape", [MIN_SHAPE, (3, 33, 47), (2, 130, 32), (40, 40, 40)])
def test_small_and_odd_shapes_work(shape: tuple[int, int, int]) -> None:
    small = make_phantom(shape, np.random.default_rng(3))
    assert small.image.shape == small.label.shape == small.polarity.shape == shape
    assert small.image.std() > 10


@pytest.mark.parametrize("shape", [(1, 64, 64), (8, 31, 64), (8, 64, 0)])
def test_a_shape_too_small_is_told(shape: tuple[int, int, int]) -> None:
    with pytest.raises(VolumeError, match="too small"):
        make_phantom(shape, np.random.default_rng(0))


def test_a_negative_density_is_told() -> None:
    with pytest.raises(VolumeError, match="cannot hold -1 synapses"):
        make_phantom((4, 64, 64), np.random.default_rng(0), synapses_per_um3=-1)


@pytest.mark.parametrize("scale", [(1.0, 3.0, 3.0), (2.5, 9.0, 7.0)])
def test_smooth_noise_has_mean_zero_and_variance_one(scale: tuple[float, float, float]) -> None:
    field = smooth_noise(np.random.default_rng(0), (40, 200, 200), scale)
    assert abs(field.mean()) < 0.1
    assert field.var() == pytest.approx(1, abs=0.15)
