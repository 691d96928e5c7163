"""Boxes of voxels and voxel sizes; triples are always (z, y, x)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import prod
from typing import Literal

ZYX = tuple[int, int, int]
"""A length or a position along (z, y, x), in voxels."""

Spacing = tuple[float, float, float]
"""A length along (z, y, x), in nanometres."""

Connectivity = Literal[6, 18, 26]
"""Which voxels touch: 6 those that share a face, 18 also an edge, 26 also a corner."""


@dataclass(frozen=True, slots=True)
class Box:
    """A half-open box of voxels: `start` belongs to it, `stop` does not.

    `start` may be negative and `stop` may pass the end of a volume where a reader pads.
    """

    start: ZYX
    stop: ZYX

    @classmethod
    def at(cls, start: Sequence[int], shape: Sequence[int]) -> Box:
        """Return the box of `shape` voxels that begins at `start`."""
        z, y, x = (a + n for a, n in zip(start, shape, strict=True))
        return cls((start[0], start[1], start[2]), (z, y, x))

    @property
    def shape(self) -> ZYX:
        """Extent along (z, y, x), in voxels."""
        z, y, x = (b - a for a, b in zip(self.start, self.stop, strict=True))
        return z, y, x

    @property
    def size(self) -> int:
        """Number of voxels."""
        return prod(self.shape)

    @property
    def slices(self) -> tuple[slice, slice, slice]:
        """The box as an index into a (Z, Y, X) array that holds it whole."""
        z, y, x = (slice(a, b) for a, b in zip(self.start, self.stop, strict=True))
        return z, y, x

    def moved(self, by: ZYX) -> Box:
        """Return the box of the same shape, moved by a number of voxels."""
        z, y, x = (a + n for a, n in zip(self.start, by, strict=True))
        return Box.at((z, y, x), self.shape)

    def grown(self, by: ZYX, shape: ZYX) -> Box:
        """Return the box grown by a number of voxels on either side, as far as a volume of `shape` has them."""
        start = tuple(max(0, a - n) for a, n in zip(self.start, by, strict=True))
        stop = tuple(min(b + n, end) for b, n, end in zip(self.stop, by, shape, strict=True))
        return Box((start[0], start[1], start[2]), (stop[0], stop[1], stop[2]))

    @classmethod
    def whole(cls, shape: ZYX) -> Box:
        """Return the box of all voxels of a volume of `shape`."""
        return cls((0, 0, 0), shape)

    @classmethod
    def sections(cls, start: int, stop: int, shape: ZYX) -> Box:
        """Return the box of whole sections, from `start` up to but not including `stop`, of a volume of `shape`."""
        return cls((start, 0, 0), (stop, shape[1], shape[2]))

    def slabs(self, depth: int) -> Iterator[Box]:
        """Yield the box in parts of at most `depth` sections, in order along z."""
        (z, *corner), (end, *far) = self.start, self.stop
        for start in range(z, end, depth):
            yield Box((start, corner[0], corner[1]), (min(start + depth, end), far[0], far[1]))

    def lies_within(self, shape: ZYX) -> bool:
        """Return whether a volume of `shape` holds every voxel of the box."""
        return all(0 <= a <= b <= n for a, b, n in zip(self.start, self.stop, shape, strict=True))
