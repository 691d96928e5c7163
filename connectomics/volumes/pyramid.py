"""A volume at several resolutions, each half as fine in the plane as the one before, made box by box."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from connectomics.geometry import ZYX, Box, Spacing
from connectomics.volumes.exported import ExportedVolume
from connectomics.volumes.sections import cut_plane

CHUNK: ZYX = (8, 256, 256)
"""Extent of a chunk along (z, y, x), in voxels, at every level."""

MOST_LEVELS = 4
"""Number of levels at most."""

BLOCK = (CHUNK[1] << (MOST_LEVELS - 1), CHUNK[2] << (MOST_LEVELS - 1))
"""Extent along (y, x) of what is read at a time; at every level it is whole chunks."""

SMALLEST = 256
"""Extent of a plane, in pixels, that is not halved any more."""

Put = Callable[[int, ZYX, npt.NDArray], None]
"""Takes a level, the position of the first voxel in it, and voxels (C, n, Y, X)."""


def level_shapes(shape: ZYX) -> list[ZYX]:
    """Return the extent of each level along (z, y, x), the finest first."""
    shapes = [shape]
    while len(shapes) < MOST_LEVELS and max(shapes[-1][1:]) > SMALLEST:
        z, y, x = shapes[-1]
        shapes.append((z, (y + 1) // 2, (x + 1) // 2))
    return shapes


def level_shift(level: int, spacing_nm: Spacing, is_label: bool) -> Spacing:
    """Return how far the centre of the first voxel of a level lies from that of the finest one, in nm."""
    away = 0.0 if is_label else (2**level - 1) / 2
    return 0.0, away * spacing_nm[1], away * spacing_nm[2]


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


def chunk_boxes(start: ZYX, shape: ZYX) -> list[Box]:
    """Return the chunks of a box that begins at `start`, a corner of a chunk, counted from there."""
    extents = [[(a, min(n, a + c)) for a in range(0, n, c)] for n, c in zip(shape, CHUNK, strict=True)]
    if any(a % c for a, c in zip(start, CHUNK, strict=True)):
        raise ValueError(f"a box begins at {start}; the chunks are {CHUNK}")
    return [Box((z[0], y[0], x[0]), (z[1], y[1], x[1])) for z in extents[0] for y in extents[1] for x in extents[2]]
