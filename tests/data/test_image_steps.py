from math import pi

import cv2
import numpy as np
import pytest

from connectomics.data.augment.cut import CutBlur, CutNoise
from connectomics.data.augment.grey_values import POOL_SIZE, Intensity, add_noise
from connectomics.data.augment.image_step import ImageStep
from connectomics.data.augment.missing import MissingParts, MissingSection
from connectomics.data.augment.motion_blur import MotionBlur, line_kernel
from connectomics.data.augment.whole_sections import Defocus, SectionBrightness
from connectomics.data.patch import Patch

SHAPE = (2, 7, 32, 40)


def a_patch(shape: tuple[int, int, int, int] = SHAPE, seed: int = 0) -> Patch:
    rng = np.random.default_rng(seed)
    image = cv2.GaussianBlur(rng.random((shape[2], shape[3], shape[0] * shape[1]), dtype=np.float32), (5, 5), 1)
    image = np.ascontiguousarray(np.moveaxis(image, -1, 0)).reshape(shape)
    label = (rng.random((1, *shape[1:])) < 0.1).astype(np.float32)
    return Patch(image, label, np.ones((1, *shape[1:]), bool), mean=0.4)


def changed_sections(before: Patch, after: Patch) -> set[int]:
    return set(np.flatnonzero((before.image != after.image).any(axis=(0, 2, 3))).tolist())


STEPS: list[ImageStep] = [
    MissingSection(1.0, 2), MissingParts(1.0, (0.1, 0.3)), MotionBlur(1.0, 2, 7),
    Defocus(1.0, 2, (0.5, 2.0)), SectionBrightness(1.0, 0.2),
    CutNoise(1.0, 0.5, 0.2),
    CutBlur(1.0, 0.5, (2.0, 4.0)), Intensity(1.0, 0.1, 1.0, 0.1, 1.0, (0.7, 1.4)),
]  # fmt: skip


@pytest.mark.parametrize("step", STEPS, ids=lambda step: type(step).__name__)
def test_only_the_image_changes_and_it_stays_between_black_and_white(step: ImageStep) -> None:
    patch = a_patch()
    before = patch.image.copy()
    for seed in range(10):
        after = step(patch, np.random.default_rng(seed))
        assert after.image is not patch.image
        assert (after.image != before).any()
        assert after.image.dtype == np.float32
        assert after.image.shape == SHAPE
        assert 0 <= after.image.min() <= after.image.max() <= 1
        assert after.label is patch.label
        assert after.valid is patch.valid
    np.testing.assert_array_equal(patch.image, before)  # a step never writes into the patch that it is given


def test_missing_sections_are_inner_ones_filled_with_one_grey() -> None:
    patch, counts, fills = a_patch(), set(), set()
    for seed in range(60):
        after = MissingSection(1.0, 3)(patch, np.random.default_rng(seed))
        lost = changed_sections(patch, after)
        counts.add(len(lost))
        fills |= {float(value) for section in lost for value in np.unique(after.image[:, section])}
        assert lost <= set(range(1, 6))
    assert counts == {1, 2, 3}
    assert fills == {0.0, float(np.float32(0.4))}


def test_a_patch_of_two_sections_loses_none() -> None:
    patch = a_patch((1, 2, 8, 8))
    assert MissingSection(1.0, 2)(patch, np.random.default_rng(0)) is patch


def test_missing_parts_lose_a_band_of_one_section() -> None:
    patch = a_patch()
    for seed in range(20):
        after = MissingParts(1.0, (0.2, 0.2))(patch, np.random.default_rng(seed))
        (section,) = changed_sections(patch, after)
        lost = (after.image != patch.image)[0, section]
        y, x = np.nonzero(lost)
        spread = np.linalg.svd(np.stack([y - y.mean(), x - x.mean()]), compute_uv=False)
        assert spread[-1] / np.sqrt(len(y)) <= 6.4 / np.sqrt(12) + 0.5  # thin in one direction: 0.2 of 32 pixels


@pytest.mark.parametrize("size", [3, 7, 11])
@pytest.mark.parametrize("angle", np.linspace(0, pi, 9)[:-1])
def test_a_line_kernel_adds_up_to_one_and_is_a_line(size: int, angle: float) -> None:
    kernel = line_kernel(size, angle)
    assert kernel.shape == (size, size)
    assert kernel.sum() == pytest.approx(1)
    offsets = np.arange(size) - size // 2
    y, x = np.meshgrid(offsets, offsets, indexing="ij")
    along, across = x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)
    assert (kernel * across**2).sum() < 0.35  # within a pixel of the line
    assert (kernel * along**2).sum() == pytest.approx((size**2 - 1) / 12, rel=0.05, abs=0.2)


def test_motion_blur_keeps_the_mean() -> None:
    patch = a_patch((1, 5, 128, 128))
    for seed in range(5):
        after = MotionBlur(1.0, 3, 11)(patch, np.random.default_rng(seed))
        np.testing.assert_allclose(after.image.mean(axis=(2, 3)), patch.image.mean(axis=(2, 3)), atol=2e-3)
    flat = Patch(np.full((1, 3, 16, 16), 0.3, np.float32), patch.label, patch.valid)
    np.testing.assert_allclose(MotionBlur(1.0, 3, 11)(flat, np.random.default_rng(0)).image, 0.3, rtol=1e-5)


def test_motion_blur_blurs_along_one_direction_only() -> None:
    rows = np.zeros((65, 65), np.float32)
    rows[::4] = 1  # stripes along x
    along = cv2.filter2D(rows, -1, line_kernel(9, 0.0), borderType=cv2.BORDER_REFLECT)
    across = cv2.filter2D(rows, -1, line_kernel(9, pi / 2), borderType=cv2.BORDER_REFLECT)
    np.testing.assert_allclose(along, rows, atol=1e-6)
    assert across.std() < 0.2 * rows.std()


def test_motion_blur_takes_some_sections_each_in_its_own_direction() -> None:
    patch, counts = a_patch(), set()
    for seed in range(40):
        counts.add(len(changed_sections(patch, MotionBlur(1.0, 3, 5)(patch, np.random.default_rng(seed)))))
    assert counts == {1, 2, 3}
    impulse = np.zeros((1, 2, 33, 33), np.float32)
    impulse[:, :, 16, 16] = 1
    after = MotionBlur(1.0, 2, 9)(Patch(impulse, patch.label, patch.valid), np.random.default_rng(3)).image
    assert np.abs(after[0, 0] - after[0, 1]).max() > 0.01


@pytest.mark.parametrize("step", [CutNoise(1.0, 0.5, 0.2), CutBlur(1.0, 0.5, (3.0, 3.0))])
def test_a_cut_stays_in_a_box_of_its_share(step: ImageStep) -> None:
    patch = a_patch()
    for seed in range(10):
        touched = np.argwhere((step(patch, np.random.default_rng(seed)).image != patch.image).any(axis=0))
        extent = touched.max(axis=0) - touched.min(axis=0) + 1
        assert (extent <= [4, 16, 20]).all()
        assert extent[0] >= 3


def test_cut_blur_loses_detail_but_not_brightness() -> None:
    patch = a_patch((1, 4, 64, 64))
    after = CutBlur(1.0, 1.0, (4.0, 4.0))(patch, np.random.default_rng(0)).image
    assert after.mean() == pytest.approx(patch.image.mean(), abs=0.01)
    assert np.abs(np.diff(after)).mean() < 0.4 * np.abs(np.diff(patch.image)).mean()


def test_noise_is_normal_and_differs_from_section_to_section() -> None:
    noise = add_noise(np.zeros((1, 8, 128, 128), np.float32), 0.05, np.random.default_rng(0))[0]
    assert noise.std() == pytest.approx(0.05, rel=0.02)
    assert abs(noise.mean()) < 0.001
    assert (np.abs(noise) < 0.05).mean() == pytest.approx(0.683, abs=0.01)
    between = np.corrcoef(noise.reshape(8, -1)) - np.eye(8)
    assert np.abs(between).max() < 0.05


def test_a_section_larger_than_the_pool_gets_noise_everywhere() -> None:
    side = int(POOL_SIZE**0.5) + 1
    noisy = add_noise(np.zeros((1, 1, side, side), np.float32), 1.0, np.random.default_rng(0))
    assert (noisy != 0).mean() > 0.999


def test_shift_and_contrast_are_what_they_are_called() -> None:
    ramp = np.linspace(0, 1, 256, dtype=np.float32).reshape(1, 1, 1, 256)
    patch = Patch(ramp, np.zeros((1, 1, 1, 256), np.float32), np.ones((1, 1, 1, 256), bool))
    shifted = Intensity(0.0, 0.0, 1.0, 0.1, 0.0, (1.0, 1.0))(patch, np.random.default_rng(1)).image
    inside = (shifted > 0) & (shifted < 1)
    by = (shifted - ramp)[inside]
    assert np.ptp(by) < 1e-6
    assert 0 < abs(by[0]) <= 0.1
    bent = Intensity(0.0, 0.0, 0.0, 0.0, 1.0, (2.0, 2.0))(patch, np.random.default_rng(1)).image
    np.testing.assert_allclose(bent, ramp**2, atol=1e-5)


def test_defocus_blurs_some_sections_as_a_gaussian_of_the_drawn_width() -> None:
    patch, counts = a_patch(), set()
    for seed in range(30):
        after = Defocus(1.0, 3, (1.5, 1.5))(patch, np.random.default_rng(seed))
        changed = changed_sections(patch, after)
        counts.add(len(changed))
        for section in changed:
            expected = cv2.GaussianBlur(patch.image[0, section], (0, 0), 1.5, borderType=cv2.BORDER_REFLECT)
            np.testing.assert_allclose(after.image[0, section], expected, atol=1e-6)
    assert counts == {1, 2, 3}


def test_each_section_becomes_brighter_or_darker_by_an_amount_of_its_own() -> None:
    patch = a_patch()
    grey = Patch(np.full(SHAPE, 0.5, np.float32), patch.label, patch.valid)
    shifts = SectionBrightness(1.0, 0.2)(grey, np.random.default_rng(0)).image - np.float32(0.5)
    assert np.ptp(shifts, axis=(0, 2, 3)).max() == 0
    assert len(np.unique(shifts)) == SHAPE[1]
    assert 0 < np.abs(shifts).max() <= 0.2
