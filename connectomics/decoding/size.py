"""Removal of objects that are too small."""

from __future__ import annotations

import cc3d
import numpy as np
import numpy.typing as npt

from connectomics.geometry import Connectivity

Mask = npt.NDArray[np.bool_]

CONNECTIVITY: Connectivity = 26
"""What joins the voxels of an object whose size counts: they share a corner."""


def remove_small(mask: Mask, min_size: int, connectivity: Connectivity = CONNECTIVITY) -> Mask:
    """Return a mask without its connected components of fewer than `min_size` voxels.

    Takes five bytes a voxel beyond the mask while it works.

    Args:
        mask: Bool, (Z, Y, X).
        min_size: Voxels that a component has at least; up to 1 leaves the mask as it is.
        connectivity: 6 joins voxels that share a face, 18 an edge, 26 a corner.
    """
    if min_size <= 1 or not mask.size:
        return mask
    ids, number = cc3d.connected_components(mask, connectivity=connectivity, return_N=True)
    voxels = np.zeros(number + 1, np.int64)
    for section in ids:
        voxels += np.bincount(section.reshape(-1), minlength=number + 1)
    large = voxels >= min_size
    large[0] = False
    kept = np.empty_like(mask)
    for section, out in zip(ids, kept, strict=True):
        out[:] = large[section]
    return kept
