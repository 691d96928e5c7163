"""Displace a part of the stack, as when sections were aligned wrongly."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import atan2, degrees
from typing import final

import numpy as np

from connectomics.data.augment.geometric import GeometricStep, Geometry, Jump


@final
@dataclass(frozen=True, slots=True)
class Misalignment(GeometricStep):
    """Displace all sections from a random one on, or (a slip, as often) only that one; image and target alike."""

    prob: float
    displacement: int
    """Largest displacement along y and along x, in pixels; drawn uniformly, in whole pixels."""
    rotate_ratio: float
    """Share of misalignments that are a rotation instead; it moves the middle of an edge by up to `displacement`."""

    def __call__(self, geometry: Geometry, rng: np.random.Generator) -> Geometry:
        """Displace a part of the stack, with probability `prob`; a single section has no part to displace."""
        depth, height, width = geometry.shape
        if rng.random() >= self.prob or depth < 2:
            return geometry
        first = int(rng.integers(1, depth))
        stop = first + 1 if rng.random() < 0.5 else depth
        if rng.random() < self.rotate_ratio:
            largest = degrees(atan2(self.displacement, max(height, width) / 2))
            jump = Jump(first, stop, angle=rng.uniform(-largest, largest))
        else:
            y, x = rng.integers(-self.displacement, self.displacement, size=2, endpoint=True)
            jump = Jump(first, stop, shift=(int(y), int(x)))
        return replace(geometry, jump=jump)
