"""Mirror a patch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import final

import numpy as np

from connectomics.data.augment.geometric import GeometricStep, Geometry


@final
@dataclass(frozen=True, slots=True)
class Flip(GeometricStep):
    """Mirror the patch along each of some axes independently."""

    prob: float
    spatial_axis: Sequence[int]
    """Axes that may be mirrored: 0 is z, 1 is y, 2 is x."""

    def __call__(self, geometry: Geometry, rng: np.random.Generator) -> Geometry:
        """Mirror along each axis of `spatial_axis` with probability `prob`."""
        mirrored = {axis for axis in sorted(set(self.spatial_axis)) if rng.random() < self.prob}
        if 0 in mirrored:
            geometry = replace(geometry, flip_z=not geometry.flip_z)
        if mirrored & {1, 2}:
            geometry = geometry.turned(((-1.0 if 1 in mirrored else 1.0, 0.0), (0.0, -1.0 if 2 in mirrored else 1.0)))
        return geometry
