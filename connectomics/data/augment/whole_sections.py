"""Change whole sections as the microscope does: out of focus, brighter or darker than their neighbours."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import final

import cv2
import numpy as np

from connectomics.data.augment.image_step import ImageStep, draw_sections
from connectomics.data.patch import Patch


@final
@dataclass(frozen=True, slots=True)
class Defocus(ImageStep):
    """Blur sections evenly, as when the microscope was out of focus."""

    prob: float
    sections: int
    """1 to `sections` sections are blurred."""
    sigma_range: tuple[float, float]
    """Standard deviation of the Gaussian, in pixels; drawn uniformly for each section."""

    def __call__(self, patch: Patch, rng: np.random.Generator) -> Patch:
        """Blur distinct sections, with probability `prob`."""
        if rng.random() >= self.prob:
            return patch
        image = patch.image.copy()  # (C, Z, Y, X)
        for section in draw_sections(image.shape[1], self.sections, rng):
            sigma = rng.uniform(*self.sigma_range)
            for channel in image[:, section]:
                cv2.GaussianBlur(channel.copy(), (0, 0), sigma, dst=channel, borderType=cv2.BORDER_REFLECT)
        return replace(patch, image=image)


@final
@dataclass(frozen=True, slots=True)
class SectionBrightness(ImageStep):
    """Make each section brighter or darker by an amount of its own, as sections of uneven thickness or stain are."""

    prob: float
    offset: float
    """The shift of a section is uniform in [-offset, offset]."""

    def __call__(self, patch: Patch, rng: np.random.Generator) -> Patch:
        """Shift every section, with probability `prob`; the image, which is in [0, 1], is clipped to it."""
        if rng.random() >= self.prob:
            return patch
        shifts = rng.uniform(-self.offset, self.offset, size=(patch.image.shape[1], 1, 1)).astype(np.float32)
        return replace(patch, image=np.clip(patch.image + shifts, 0, 1))
