"""Where the windows of a volume lie."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import numpy as np
import numpy.typing as npt

from connectomics.geometry import ZYX, Box
from connectomics.inference.blend import Profile, seam_weights


@dataclass(frozen=True, slots=True, eq=False)
class AxisWindows:
    """The windows along one axis; position 0 is the first voxel of the volume, padding lies before it."""

    size: int
    """Extent of a window, in voxels."""
    starts: tuple[int, ...]
    """First position of each window, ascending."""
    weights: npt.NDArray[np.float32]
    """Weight of each window at each of its positions, (windows, size); the weights of all windows at a position sum to
    one."""

    def touching(self, start: int, stop: int) -> range:
        """Return the numbers of the windows that cover any position from `start` to `stop` (not included)."""
        covering = [i for i, first in enumerate(self.starts) if first < stop and first + self.size > start]
        return range(covering[0], covering[-1] + 1)


def place_windows(extent: int, pad: int, size: int, overlap: float, profile: Profile) -> AxisWindows:
    """Cover one axis of a volume, and the padding on both its sides, with overlapping windows.

    Args:
        extent: Extent of the volume, in voxels.
        pad: Voxels of padding on either side.
        size: Extent of a window, in voxels.
        overlap: Share of a window that its neighbour covers too, in [0, 1).
        profile: One of `blend.PROFILES`.

    Returns:
        Windows `round(size * (1 - overlap))` apart, the last one moved back to end where the padding ends. An axis that
        is smaller than a window has one, with the volume in its middle.
    """
    padded = extent + 2 * pad
    if padded <= size:
        starts = [-(size - padded) // 2]
    else:
        stride = max(1, round(size * (1 - overlap)))
        starts = [*range(0, padded - size, stride), padded - size]
    return AxisWindows(size, tuple(start - pad for start in starts), seam_weights(starts, size, profile))


@dataclass(frozen=True, slots=True, eq=False)
class WindowGrid:
    """The windows of a volume: the product of those along its three axes. A row is all windows of one place in z.

    Only the windows that cover a voxel of `region` count; every voxel there has the same windows whatever the region.
    """

    region: Box
    """The voxels of the volume that are predicted."""
    z: AxisWindows
    y: AxisWindows
    x: AxisWindows

    @classmethod
    def cover(
        cls, shape: ZYX, pad: ZYX, window: ZYX, overlaps: tuple[float, float, float], profile: Profile
    ) -> WindowGrid:
        """Cover a volume of `shape` and its padding; arguments are those of `place_windows`, along (z, y, x)."""
        axes = zip(shape, pad, window, overlaps, strict=True)
        z, y, x = (place_windows(extent, before, size, share, profile) for extent, before, size, share in axes)
        return cls(Box.whole(shape), z, y, x)

    @property
    def window(self) -> ZYX:
        """Extent of a window along (z, y, x), in voxels."""
        return self.z.size, self.y.size, self.x.size

    def rows(self) -> range:
        """Return the rows that cover the region."""
        return self.z.touching(self.region.start[0], self.region.stop[0])

    def plane(self) -> list[tuple[int, int]]:
        """Return the places in (y, x) of the windows of every row that cover the region."""
        return list(product(*self._in_plane()))

    def seen_by_row(self, row: int) -> Box:
        """Return the voxels that the windows of a row see together; the box may reach beyond the volume."""
        ys, xs = self._in_plane()
        start = self.z.starts[row], self.y.starts[ys[0]], self.x.starts[xs[0]]
        stop = self.z.starts[row], self.y.starts[ys[-1]], self.x.starts[xs[-1]]
        return Box(start, (stop[0] + self.z.size, stop[1] + self.y.size, stop[2] + self.x.size))

    def sections_of_row(self, row: int) -> range:
        """Return the sections of the region that a row covers."""
        start = self.z.starts[row]
        return range(max(self.region.start[0], start), min(self.region.stop[0], start + self.z.size))

    def _in_plane(self) -> tuple[range, range]:
        (_, y0, x0), (_, y1, x1) = self.region.start, self.region.stop
        return self.y.touching(y0, y1), self.x.touching(x0, x1)
