"""Blur sections along a line."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import cos, floor, pi, sin
from typing import final

import cv2
import numpy as np
from numpy.typing import NDArray

from connectomics.data.augment.image_step import ImageStep, draw_sections
from connectomics.data.patch import Patch


@final
@dataclass(frozen=True, slots=True)
class MotionBlur(ImageStep):
    """Smear sections along one direction, as when the stage moved during the exposure."""

    prob: float
    sections: int
    """1 to `sections` sections are blurred, each along a direction of its own."""
    kernel_size: int
    """Length of the line along which a pixel is smeared, in pixels; odd."""

    def __call__(self, patch: Patch, rng: np.random.Generator) -> Patch:
        """Blur distinct sections, with probability `prob`."""
        if rng.random() >= self.prob:
            return patch
        image = patch.image.copy()  # (C, Z, Y, X)
        for section in draw_sections(image.shape[1], self.sections, rng):
            kernel = line_kernel(self.kernel_size, rng.uniform(0, pi))
            for channel in image[:, section]:
                cv2.filter2D(channel.copy(), -1, kernel, dst=channel, borderType=cv2.BORDER_REFLECT)
        return replace(patch, image=image)


def line_kernel(size: int, angle: float) -> NDArray[np.float32]:
    """Return a line through the centre of a square, its weights adding up to 1.

    Args:
        size: Length of the line and of the square's sides, in pixels; odd.
        angle: Direction in radians: 0 is along x, pi / 2 along y.
    """
    kernel = np.zeros((size + 2, size + 2))
    centre = (size + 1) / 2
    for distance in np.arange(size) - (size - 1) / 2:
        y, x = centre + distance * sin(angle), centre + distance * cos(angle)
        row, column = floor(y), floor(x)
        down, right = y - row, x - column
        weights = np.outer((1 - down, down), (1 - right, right))  # to the four pixels around the point
        kernel[row : row + 2, column : column + 2] += weights[: size + 2 - row, : size + 2 - column]
    kernel = kernel[1:-1, 1:-1]
    return (kernel / kernel.sum()).astype(np.float32)
