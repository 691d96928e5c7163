"""Bend a patch smoothly in the section plane."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import ceil
from typing import final

import cv2
import numpy as np

from connectomics.data.augment.geometric import Field, GeometricStep, Geometry

NODES_PER_SIGMA = 4
"""How finely a field is drawn; between the nodes it is interpolated."""


@final
@dataclass(frozen=True, slots=True)
class Elastic(GeometricStep):
    """Displace the tissue by a smooth random field in the section plane, every section alike."""

    prob: float
    sigma_range: tuple[float, float]
    """Smoothing length of the field, in pixels; drawn uniformly."""
    magnitude_range: tuple[float, float]
    """Root-mean-square length of the displacement over the patch, in pixels; drawn uniformly."""

    def __call__(self, geometry: Geometry, rng: np.random.Generator) -> Geometry:
        """Bend by a random field, with probability `prob`."""
        if rng.random() >= self.prob:
            return geometry
        sigma, magnitude = rng.uniform(*self.sigma_range), rng.uniform(*self.magnitude_range)
        return replace(geometry, field=draw_field(geometry.shape[1:], sigma, magnitude, rng))


def draw_field(shape: tuple[int, int], sigma: float, magnitude: float, rng: np.random.Generator) -> Field:
    """Draw white noise smoothed by a Gaussian.

    Args:
        shape: Extent of a section along (y, x), in pixels.
        sigma: Standard deviation of the Gaussian, in pixels.
        magnitude: Root mean square of the displacement's length over the section, in pixels.
        rng: Source of randomness.
    """
    step = max(1.0, sigma / NODES_PER_SIGMA)
    margin = ceil(3 * sigma / step)  # what lies outside matters as much as what lies inside, up to the border
    height, width = (ceil((n - 1) / step) + 1 for n in shape)
    noise = rng.standard_normal((height + 2 * margin, width + 2 * margin, 2), dtype=np.float32)
    smooth = cv2.GaussianBlur(noise, (2 * margin + 1, 2 * margin + 1), sigma / step)
    nodes = np.ascontiguousarray(smooth[margin : margin + height, margin : margin + width], np.float32)
    displacement = Field(nodes, step).at(((1.0, 0.0), (0.0, 1.0)), (0.0, 0.0), shape)
    length = np.sqrt(np.square(displacement).sum(axis=-1).mean())
    return Field(nodes * np.float32(magnitude / length), step)
