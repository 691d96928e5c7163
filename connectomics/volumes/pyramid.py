"""A volume at several resolutions, each half as fine in the plane as the one before, made box by box."""

from __future__ import annotations

from collections.abc import Callable

import numpy.typing as npt

from connectomics.geometry import ZYX, Box
from connectomics.volumes.exported import ExportedVolume
from connectomics.volumes.halving import MOST_LEVELS, halve, level_shapes
from connectomics.volumes.sections import cut_plane

CHUNK: ZYX = (8, 256, 256)
"""Extent of a chunk along (z, y, x), in voxels, at every level."""

BLOCK = (CHUNK[1] << (MOST_LEVELS - 1), CHUNK[2] << (MOST_LEVELS - 1))
"""Extent along (y, x) of what is read at a time; at every level it is whole chunks."""

Put = Callable[[int, ZYX, npt.NDArray], None]
"""Takes a level, the position of the first voxel in it, and voxels (C, n, Y, X)."""


def write_levels(volume: ExportedVolume, put: Put) -> None:
    """Read a volume once, and hand over every box of every level; all but those at the border are whole chunks."""
    shapes = level_shapes(volume.source.shape)
    for block in cut_plane(volume.source.shape, BLOCK):
        for box in block.slabs(CHUNK[0]):
            voxels, (z, y, x) = volume.read(box), box.start
            for level in range(len(shapes)):
                put(level, (z, y >> level, x >> level), voxels)
                if level + 1 < len(shapes):
                    voxels = halve(voxels, volume.is_label)


def chunk_boxes(start: ZYX, shape: ZYX) -> list[Box]:
    """Return the chunks of a box that begins at `start`, a corner of a chunk, counted from there."""
    extents = [[(a, min(n, a + c)) for a in range(0, n, c)] for n, c in zip(shape, CHUNK, strict=True)]
    if any(a % c for a, c in zip(start, CHUNK, strict=True)):
        raise ValueError(f"a box begins at {start}; the chunks are {CHUNK}")
    return [Box((z[0], y[0], x[0]), (z[1], y[1], x[1])) for z in extents[0] for y in extents[1] for x in extents[2]]
