"""Lose sections, or parts of them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import cos, pi, sin
from typing import final

import numpy as np
from numpy.typing import NDArray

from connectomics.data.augment.image_step import ImageStep, draw_fill, draw_sections
from connectomics.data.patch import Patch


@final
@dataclass(frozen=True, slots=True)
class MissingSection(ImageStep):
    """Lose the image of inner sections, as when slices are lost at the microtome.

    The label keeps its clefts: the network learns to bridge the gap. The first and the last section stay, since
    beyond them there is nothing to bridge from.
    """

    prob: float
    num_sections: int
    """1 to `num_sections` sections are lost."""

    def __call__(self, patch: Patch, rng: np.random.Generator) -> Patch:
        """Fill distinct inner sections with black or the volume's mean, with probability `prob`."""
        inner = patch.image.shape[1] - 2
        if rng.random() >= self.prob or inner < 1:
            return patch
        lost = 1 + draw_sections(inner, self.num_sections, rng)
        image = patch.image.copy()  # (C, Z, Y, X)
        image[:, lost] = draw_fill(patch.mean, rng)
        return replace(patch, image=image)


@final
@dataclass(frozen=True, slots=True)
class MissingParts(ImageStep):
    """Lose the image of a straight band across one section, as under a fold or a crack."""

    prob: float
    hole_range: tuple[float, float]
    """Width of the band, as a share of the section's shorter side; drawn uniformly."""

    def __call__(self, patch: Patch, rng: np.random.Generator) -> Patch:
        """Fill a random band of a random section with black or the volume's mean, with probability `prob`."""
        if rng.random() >= self.prob:
            return patch
        _, depth, height, width = patch.image.shape
        section = int(rng.integers(depth))
        band = _draw_band((height, width), min(height, width) * rng.uniform(*self.hole_range), rng)
        image = patch.image.copy()  # (C, Z, Y, X)
        image[:, section][:, band] = draw_fill(patch.mean, rng)
        return replace(patch, image=image)


def _draw_band(shape: tuple[int, int], width: float, rng: np.random.Generator) -> NDArray[np.bool_]:
    """Draw a band of any direction whose middle line runs through a random pixel; (Y, X)."""
    angle, y, x = rng.uniform(0, pi), rng.uniform(0, shape[0]), rng.uniform(0, shape[1])
    distance = np.add.outer(cos(angle) * (np.arange(shape[0]) - y), sin(angle) * (np.arange(shape[1]) - x))
    return np.abs(distance) <= width / 2
