"""How a volume becomes half as fine in its plane, again and again."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from connectomics.geometry import ZYX

MOST_LEVELS = 4
"""Number of levels of an export at most."""

SMALLEST = 256
"""Extent of a plane, in pixels, that an export does not halve any more."""


def level_shapes(shape: ZYX, most: int = MOST_LEVELS, smallest: int = SMALLEST) -> list[ZYX]:
    """Return the extent of each level along (z, y, x), the finest first.

    Args:
        shape: That of the volume.
        most: How many levels there are at most.
        smallest: Extent of a plane, in pixels, that is not halved any more.
    """
    shapes = [shape]
    while len(shapes) < most and max(shapes[-1][1:]) > smallest:
        z, y, x = shapes[-1]
        shapes.append((z, (y + 1) // 2, (x + 1) // 2))
    return shapes


def halve(voxels: npt.NDArray, is_label: bool) -> npt.NDArray:
    """Return voxels (C, Z, Y, X) at half the resolution in the plane.

    Of ids the first of each 2 x 2 is kept; of all else their mean, where a border repeats its last pixel.
    """
    if is_label:
        return voxels[..., ::2, ::2]
    odd = [(0, 0), (0, 0), (0, voxels.shape[2] % 2), (0, voxels.shape[3] % 2)]
    whole = np.pad(voxels, odd, mode="edge")
    wide = whole if whole.dtype.kind == "f" else whole.astype(np.float64)
    total = wide[..., ::2, ::2] + wide[..., 1::2, ::2] + wide[..., ::2, 1::2] + wide[..., 1::2, 1::2]
    mean = total * total.dtype.type(0.25)
    return mean if voxels.dtype.kind == "f" else np.rint(mean).astype(voxels.dtype)
