"""Show a patch larger or smaller."""

from __future__ import annotations

from dataclasses import dataclass
from math import exp, log
from typing import final

import numpy as np

from connectomics.data.augment.geometric import GeometricStep, Geometry


@final
@dataclass(frozen=True, slots=True)
class Zoom(GeometricStep):
    """Magnify the patch about its centre in the section plane, every section alike; tissue from around fills it."""

    prob: float
    factor_range: tuple[float, float]
    """How many times larger things become; as often by 1.25 as by 1 / 1.25, drawn uniformly on a logarithmic scale."""

    def __call__(self, geometry: Geometry, rng: np.random.Generator) -> Geometry:
        """Magnify by a random factor, with probability `prob`."""
        if rng.random() >= self.prob:
            return geometry
        low, high = self.factor_range
        back = exp(-rng.uniform(log(low), log(high)))
        return geometry.turned(((back, 0.0), (0.0, back)))
