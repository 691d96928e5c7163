"""Smooth random fields: the wobble, the texture and the shading of the phantom."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from connectomics.geometry import ZYX

_SPLINE_VARIANCE = 151 / 315
"""Mean sum of the squared cubic B-spline weights at a point: the variance that interpolation along one axis leaves of
white noise."""


def smooth_noise(rng: np.random.Generator, shape: ZYX, scale: Sequence[float]) -> NDArray[np.float32]:
    """Draw a smooth random field with mean 0 and variance 1.

    Normal numbers on a coarse lattice, interpolated by cubic B-splines.

    Args:
        rng: Source of randomness.
        shape: Extent along (z, y, x), in voxels.
        scale: Distance of the lattice points along (z, y, x), in voxels; details are about that large.

    Returns:
        The field, float32, (Z, Y, X).
    """
    weight_z, weight_y, weight_x = (_spline_weights(n, step) for n, step in zip(shape, scale, strict=True))
    lattice = rng.standard_normal((weight_z.shape[1], weight_y.shape[1], weight_x.shape[1]), dtype=np.float32)
    planes = weight_y @ (lattice @ weight_x.T)  # (lattice z, Y, X)
    field = np.tensordot(weight_z, planes, axes=1)
    field *= np.float32(_SPLINE_VARIANCE**-1.5)
    return field


def _spline_weights(length: int, step: float) -> NDArray[np.float32]:
    """Return the weight of each lattice point at each voxel of an axis, (voxels, lattice points)."""
    position = np.arange(length) / step + 1.0
    distance = np.abs(position[:, None] - np.arange(int(position[-1]) + 3))
    inner = 2 / 3 - distance**2 + distance**3 / 2
    outer = np.maximum(2 - distance, 0) ** 3 / 6
    return np.where(distance < 1, inner, outer).astype(np.float32)
