"""Change noise, brightness and contrast of a patch."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache
from typing import final

import cv2
import numpy as np
from numpy.typing import NDArray

from connectomics.data.augment.image_step import ImageStep
from connectomics.data.patch import Patch

POOL_SIZE = 2**20
"""Normal numbers in the pool; a section takes a stretch of them from a random place, with a random sign."""


@final
@dataclass(frozen=True, slots=True)
class Intensity(ImageStep):
    """Add noise, shift the brightness and change the contrast, each with its own chance."""

    gaussian_noise_prob: float
    gaussian_noise_std: float
    """Standard deviation of the noise."""
    shift_intensity_prob: float
    shift_intensity_offset: float
    """The shift is uniform in [-offset, offset]."""
    contrast_prob: float
    contrast_range: tuple[float, float]
    """The image is raised to a power (gamma) drawn uniformly from this range."""

    def __call__(self, patch: Patch, rng: np.random.Generator) -> Patch:
        """Add noise, then a shift, then contrast; after each the image, which is in [0, 1], is clipped to it."""
        image = patch.image
        if rng.random() < self.gaussian_noise_prob:
            image = add_noise(image, self.gaussian_noise_std, rng)
            np.clip(image, 0, 1, out=image)
        if rng.random() < self.shift_intensity_prob:
            image = image + np.float32(rng.uniform(-self.shift_intensity_offset, self.shift_intensity_offset))
            np.clip(image, 0, 1, out=image)
        if rng.random() < self.contrast_prob:
            gamma = rng.uniform(*self.contrast_range)
            powered = cv2.pow(image.reshape(-1, image.shape[-1]), gamma)
            image = np.asarray(powered, np.float32).reshape(image.shape)
        return patch if image is patch.image else replace(patch, image=image)


def add_noise(image: NDArray[np.float32], std: float, rng: np.random.Generator) -> NDArray[np.float32]:
    """Return an image (C, Z, Y, X) with normal noise of standard deviation `std`, from the pool."""
    pool, noisy = noise_pool(), np.empty_like(image)
    pixels = image[0, 0].size
    sections = image.reshape(-1, pixels)
    starts = rng.integers(0, max(1, POOL_SIZE - pixels), size=len(sections))
    signs = rng.choice((-std, std), size=len(sections))
    for section, out, start, scale in zip(sections, noisy.reshape(-1, pixels), starts, signs, strict=True):
        stretch = pool[start : start + pixels]
        np.multiply(stretch if len(stretch) == pixels else np.resize(stretch, pixels), np.float32(scale), out=out)
        out += section
    return noisy


@cache
def noise_pool() -> NDArray[np.float32]:
    """Return the pool of normal numbers: the same in every process and every run."""
    return np.random.default_rng(0).standard_normal(POOL_SIZE, dtype=np.float32)
