"""Turn a patch in the section plane."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import numpy as np

from connectomics.data.augment.geometric import GeometricStep, Geometry, rotation


@final
@dataclass(frozen=True, slots=True)
class Rotate(GeometricStep):
    """Turn the patch about its centre in the section plane, every section alike."""

    prob: float
    max_angle: float
    """The angle is uniform in [-max_angle, max_angle], in degrees."""

    def __call__(self, geometry: Geometry, rng: np.random.Generator) -> Geometry:
        """Turn by a random angle, with probability `prob`."""
        if rng.random() >= self.prob:
            return geometry
        return geometry.turned(rotation(-rng.uniform(-self.max_angle, self.max_angle)))
