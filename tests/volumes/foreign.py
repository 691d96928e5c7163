"""Volumes for the tests of readers: every voxel tells where it lies."""

from pathlib import Path

import numpy as np

from connectomics.geometry import Box
from connectomics.volumes.read import open_volume
from connectomics.volumes.source import Role, VolumeInfo

SHAPE = (5, 6, 7)
Z, Y, X = np.indices(SHAPE)
U8 = (42 * Z + 7 * Y + X).astype(np.uint8)
NM = (40.0, 4.0, 4.0)


def holds(location: Path | str, voxels: np.ndarray = U8, role: Role = "image") -> VolumeInfo:
    """Make sure that a location holds these voxels, whole and by boxes, and return what is known of it."""
    source = open_volume(str(location), role)
    whole = voxels if voxels.ndim == 4 else voxels[np.newaxis]
    np.testing.assert_array_equal(source.read_all(), whole)
    if source.shape == SHAPE:
        np.testing.assert_array_equal(source.read(Box((1, 2, 3), (4, 5, 7))), whole[:, 1:4, 2:5, 3:7])
    return source.info
