"""The one way in which raw grey values become numbers for the network, in every mode."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import ceil, floor
from typing import Literal

import numpy as np
import numpy.typing as npt

from connectomics.errors import VolumeError
from connectomics.geometry import Box
from connectomics.volumes.sections import cut_plane
from connectomics.volumes.source import VolumeSource

BINS = 65_536
SLAB_BYTES = 64 * 2**20
AT_ONCE = 2**20


@dataclass(frozen=True, slots=True)
class IntensityRange:
    """The grey values of a volume that become 0 and 1; what lies beyond them is clipped."""

    low: float
    high: float
    clips: bool = True
    """False where values pass unchanged (`normalize: none`)."""

    def scale(self, voxels: npt.NDArray) -> npt.NDArray[np.float32]:
        """Return the voxels as float32, scaled."""
        if not self.clips:
            return voxels.astype(np.float32)
        scaled = (voxels.astype(np.float32) - np.float32(self.low)) * self.gain
        return np.clip(scaled, 0, 1, out=scaled)

    @property
    def gain(self) -> np.float32:
        """What a grey value above `low` is multiplied by."""
        return np.float32(1 / (self.high - self.low)) if self.high > self.low else np.float32(1)


def measure_intensity(
    source: VolumeSource,
    normalize: Literal["0-1", "none"],
    low_share: float,
    high_share: float,
    mask: VolumeSource | None = None,
) -> IntensityRange:
    """Find the grey values that become 0 and 1, from all voxels of the volume.

    A voxel outside of the mask counts all the same, so that an image is scaled alike with and without its mask; but
    there it may be NaN or infinite, and does not count then.

    Args:
        source: The image.
        normalize: "0-1", or "none" for values that pass unchanged.
        low_share: Share of the voxels, in [0, 1], below the value that becomes 0; 0 is the minimum.
        high_share: Share of the voxels, in [0, 1], up to the value that becomes 1; 1 is the maximum.
        mask: Voxels that were annotated are not 0, on the grid of the image; None when all of them were.

    Returns:
        The range; exact for integers of up to 16 bits and for shares 0 and 1, else to 1/65,536 of the full range.

    Raises:
        VolumeError: If a floating-point image holds NaN or infinity where the mask is not 0; the message says where
            the first one is. If it holds no number at all.
    """
    minimum, maximum = _extremes(source, mask)
    if normalize == "none":
        return IntensityRange(0.0, 1.0, clips=False)
    if (low_share, high_share) == (0.0, 1.0) or minimum == maximum:
        return IntensityRange(minimum, maximum)
    counts, edges = _histogram(source, minimum, maximum)
    below = np.cumsum(counts)
    last = int(below[-1]) - 1
    low = edges[np.searchsorted(below, floor(low_share * last), side="right")]
    high = edges[np.searchsorted(below, ceil(high_share * last), side="right")]
    return IntensityRange(float(low), float(high))


def _parts(source: VolumeSource) -> Iterator[tuple[Box, npt.NDArray]]:
    """Yield the volume in boxes of whole chunks, each about `SLAB_BYTES`: every chunk is unpacked once."""
    info, (_, y, x) = source.info, source.shape
    deep, high, _ = info.chunk or (1, y, x)
    layer = info.channels * deep * x * info.dtype.itemsize  # one row of pixels in as many sections as a chunk has
    depth = deep * max(1, SLAB_BYTES // (layer * y))
    rows = y if layer * y <= SLAB_BYTES else high * max(1, SLAB_BYTES // (layer * high))
    for plane in cut_plane(source.shape, (rows, x)):
        for box in plane.slabs(depth):
            yield box, source.read(box)


def _extremes(source: VolumeSource, mask: VolumeSource | None) -> tuple[float, float]:
    lows, highs = [], []
    for box, slab in _parts(source):
        low, high = slab.min(), slab.max()
        if not (np.isfinite(low) and np.isfinite(high)):
            _require_masked(source, mask, box, slab)
            numbers = slab[np.isfinite(slab)]
            if not numbers.size:
                continue
            low, high = numbers.min(), numbers.max()
        lows.append(float(low))
        highs.append(float(high))
    if not lows:
        raise VolumeError(f"{source.info.location} holds no finite number")
    return min(lows), max(highs)


def _require_masked(source: VolumeSource, mask: VolumeSource | None, box: Box, slab: npt.NDArray) -> None:
    """Refuse numbers of a box, (C, Z, Y, X), that are not finite where the mask is not 0."""
    wrong = ~np.isfinite(slab)
    if mask is not None:
        wrong &= mask.read(box) != 0
    if wrong.any():
        first = tuple(int(i) for i in np.argwhere(wrong)[0])
        z, y, x = (a + i for a, i in zip(box.start, first[1:], strict=True))
        raise VolumeError(
            f"{source.info.location} holds {slab[first]} at voxel (z, y, x) = {z, y, x}; "
            "every grey value must be a finite number, but where a mask is 0"
        )


def _histogram(source: VolumeSource, minimum: float, maximum: float) -> tuple[npt.NDArray, npt.NDArray]:
    """Return voxel counts, and the grey value that each count stands for."""
    counts = np.zeros(BINS, np.int64)
    whole = source.info.dtype.kind in "iub" and maximum - minimum < BINS
    step = 1.0 if whole else (maximum - minimum) / (BINS - 1)
    for _, slab in _parts(source):
        values = slab.reshape(-1) if slab.dtype.kind != "f" else slab[np.isfinite(slab)]
        for first in range(0, len(values), AT_ONCE):  # each voxel takes some 24 bytes on the way to its bin
            some = values[first : first + AT_ONCE].astype(np.float64)
            counts += np.bincount(((some - minimum) / step).round().astype(np.int64), minlength=BINS)
    return counts, minimum + step * np.arange(BINS)
