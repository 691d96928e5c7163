"""Some sections of a volume, or of a block of its plane, about to be written."""

from __future__ import annotations

from dataclasses import dataclass

import numpy.typing as npt

from connectomics.geometry import ZYX, Box


@dataclass(frozen=True, slots=True, eq=False)
class Sections:
    """Voxels of consecutive sections."""

    z: int
    """Number of the first section in the volume."""
    voxels: npt.NDArray
    """Voxels of the sections, (C, n, Y, X)."""
    corner: tuple[int, int] = (0, 0)
    """Where the voxels begin in the plane, along (y, x); not 0 where a plane too large for memory comes in blocks."""

    @property
    def box(self) -> Box:
        """Where they lie in the volume."""
        shape = self.voxels.shape
        return Box.at((self.z, *self.corner), (shape[1], shape[2], shape[3]))


def cut_plane(shape: ZYX, block: tuple[int, int] | None) -> list[Box]:
    """Return the blocks, as deep as the volume, that together are a volume of `shape`; None makes just one."""
    z, y, x = shape
    high, wide = block or (y, x)
    corners = [(a, b) for a in range(0, y, high) for b in range(0, x, wide)]
    return [Box((0, a, b), (z, min(y, a + high), min(x, b + wide))) for a, b in corners]


def cut_blocks(shape: ZYX, block: tuple[int, int] | None, depth: int | None) -> list[Box]:
    """Return the blocks of `cut_plane`, one after the other, each in parts of `depth` sections; None cuts no depth."""
    return [part for whole in cut_plane(shape, block) for part in whole.slabs(depth or shape[0])]
