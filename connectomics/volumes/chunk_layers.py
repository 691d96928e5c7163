"""Read a volume whose chunks are deeper than what is asked for at a time, and unpack each chunk once."""

from __future__ import annotations

from typing import final

import numpy as np
import numpy.typing as npt

from connectomics.geometry import Box
from connectomics.volumes.source import VolumeSource

MOST_BYTES = 4 * 2**30
"""Largest layer of chunks that is kept; of larger ones each box unpacks its chunks again."""


def by_layers(source: VolumeSource, region: Box) -> VolumeSource:
    """Return a volume whose boxes are read in order along z, all of about one region of the plane.

    Args:
        source: The volume.
        region: Where the boxes lie in the plane, about.
    """
    info = source.info
    if info.chunk is None or info.chunk[0] == 1:
        return source
    _, y, x = region.shape
    layer = info.channels * info.chunk[0] * y * x * info.dtype.itemsize
    return LayeredSource(source, info.chunk[0]) if layer <= MOST_BYTES else source


@final
class LayeredSource(VolumeSource):
    """Another source, of which the last layer of whole chunks is kept."""

    def __init__(self, source: VolumeSource, depth: int) -> None:
        self.info = source.info
        self._source, self._depth = source, depth
        self._box = Box((0, 0, 0), (0, 0, 0))
        self._held: npt.NDArray = np.empty((self.info.channels, 0, 0, 0), self.info.dtype)

    def _read(self, box: Box) -> npt.NDArray:
        (z, *corner), (end, *far) = box.start, box.stop
        if box.slices[1:] != self._box.slices[1:] or z < self._box.start[0] or z > self._box.stop[0]:
            start = z // self._depth * self._depth
            self._box = Box((start, corner[0], corner[1]), (start, far[0], far[1]))
            self._held = np.empty((self.info.channels, *self._box.shape), self.info.dtype)
        if end > self._box.stop[0]:
            self._grow(z, min(self.shape[0], -(-end // self._depth) * self._depth))
        return self._held[:, z - self._box.start[0] : end - self._box.start[0]]

    def _grow(self, start: int, stop: int) -> None:
        """Keep the sections from `start` on, and read those up to `stop`."""
        (_, *corner), (held, *far) = self._box.start, self._box.stop
        fresh = self._source.read(Box((held, corner[0], corner[1]), (stop, far[0], far[1])))
        first = min(start, held)
        self._held = np.concatenate([self._held[:, first - self._box.start[0] :], fresh], axis=1)
        self._box = Box((first, corner[0], corner[1]), (stop, far[0], far[1]))
