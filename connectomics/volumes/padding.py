"""Read boxes that reach beyond a volume's border."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal, final

import numpy as np
import numpy.typing as npt

from connectomics.geometry import ZYX, Box
from connectomics.volumes.source import VolumeSource

PadMode = Literal["reflect", "replicate", "constant"]


@final
class PaddedSource(VolumeSource):
    """Another source with a border around it, as a volume of its own."""

    def __init__(self, source: VolumeSource, pad: ZYX, mode: PadMode, fill: float = 0) -> None:
        """Put `pad` voxels on either side of `source`; `mode` and `fill` are those of `read_padded`."""
        z, y, x = (n + 2 * p for n, p in zip(source.shape, pad, strict=True))
        self.info = replace(source.info, shape=(z, y, x))
        self._source, self._pad, self._mode, self._fill = source, pad, mode, fill

    def _read(self, box: Box) -> npt.NDArray:
        z, y, x = (a - p for a, p in zip(box.start, self._pad, strict=True))
        return read_padded(self._source, Box.at((z, y, x), box.shape), self._mode, self._fill)


def read_padded(source: VolumeSource, box: Box, mode: PadMode, fill: float = 0) -> npt.NDArray:
    """Return the voxels of `box`, (C, Z, Y, X), also where it reaches outside the volume.

    Args:
        source: The volume.
        box: May begin before the volume and end after it.
        mode: "reflect" mirrors at the outermost voxel (which is not repeated), as often as needed; "replicate"
            repeats the outermost voxel; "constant" is `fill`.
        fill: The grey value beyond the border, in mode "constant".
    """
    if box.lies_within(source.shape):
        return source.read(box)
    extents = zip(box.start, box.stop, source.shape, strict=True)
    indices = [inside_indices(start, stop, extent, mode) for start, stop, extent in extents]
    first, last = [int(index.min()) for index in indices], [int(index.max()) + 1 for index in indices]
    voxels = source.read(Box((first[0], first[1], first[2]), (last[0], last[1], last[2])))
    for axis, (index, low) in enumerate(zip(indices, first, strict=True), start=1):
        voxels = np.take(voxels, index - low, axis=axis)
    if mode == "constant":
        _fill_outside(voxels, box, source.shape, fill)
    return voxels


def inside_indices(start: int, stop: int, extent: int, mode: PadMode) -> npt.NDArray[np.int64]:
    """Return, for each position of one axis from `start` to `stop`, the position inside [0, extent) that it shows."""
    positions = np.arange(start, stop)
    if mode == "reflect" and extent > 1:
        period = 2 * (extent - 1)
        positions = np.abs((positions + extent - 1) % period - (extent - 1))
    return positions.clip(0, extent - 1)


def _fill_outside(voxels: npt.NDArray, box: Box, shape: ZYX, fill: float) -> None:
    """Set the voxels of `box`, (C, Z, Y, X), that lie outside a volume of `shape`."""
    for axis, (start, stop, extent) in enumerate(zip(box.start, box.stop, shape, strict=True), start=1):
        by_axis = np.moveaxis(voxels, axis, 0)
        by_axis[: max(0, -start)] = fill
        by_axis[max(0, min(extent, stop) - start) :] = fill
