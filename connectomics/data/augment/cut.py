"""Spoil a random box of a patch."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import final

import cv2
import numpy as np

from connectomics.data.augment.image_step import ImageStep, draw_box
from connectomics.data.patch import Patch


@final
@dataclass(frozen=True, slots=True)
class CutNoise(ImageStep):
    """Add noise in a box, as where a detector or the charge of the sample disturbs the image."""

    prob: float
    length_ratio: float
    """Extent of the box along each axis, as a share of the patch's."""
    noise_scale: float
    """The noise is uniform in [-noise_scale, noise_scale]."""

    def __call__(self, patch: Patch, rng: np.random.Generator) -> Patch:
        """Add noise in a random box, with probability `prob`; the image stays in [0, 1]."""
        if rng.random() >= self.prob:
            return patch
        box = draw_box(patch.image.shape[1:], self.length_ratio, rng)
        image = patch.image.copy()  # (C, Z, Y, X)
        part = image[(slice(None), *box.slices)]
        noise = rng.random(part.shape, dtype=np.float32) * np.float32(2) - np.float32(1)
        np.clip(part + noise * np.float32(self.noise_scale), 0, 1, out=part)
        return replace(patch, image=image)


@final
@dataclass(frozen=True, slots=True)
class CutBlur(ImageStep):
    """Lower the resolution of a box in the section plane, as where the microscope was out of focus."""

    prob: float
    length_ratio: float
    """Extent of the box along each axis, as a share of the patch's."""
    down_ratio_range: tuple[float, float]
    """Factor of the down- and upsampling; drawn uniformly."""

    def __call__(self, patch: Patch, rng: np.random.Generator) -> Patch:
        """Down- and upsample a random box, with probability `prob`."""
        if rng.random() >= self.prob:
            return patch
        box = draw_box(patch.image.shape[1:], self.length_ratio, rng)
        _, height, width = box.shape
        ratio = rng.uniform(*self.down_ratio_range)
        small = max(1, round(width / ratio)), max(1, round(height / ratio))
        image = patch.image.copy()  # (C, Z, Y, X)
        for channel in image[(slice(None), *box.slices)]:
            for section in channel:
                coarse = cv2.resize(section, small, interpolation=cv2.INTER_AREA)
                section[:] = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_LINEAR)
        return replace(patch, image=image)
