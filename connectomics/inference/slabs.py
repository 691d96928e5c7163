"""Slabs of sections on their way: from the file to a device, raw, and back, predicted."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from connectomics.geometry import ZYX, Box
from connectomics.inference.plan import InferencePlan
from connectomics.inference.windows import WindowGrid
from connectomics.volumes.intensity import IntensityRange
from connectomics.volumes.padding import read_padded
from connectomics.volumes.source import VolumeSource

Share = Callable[[], npt.NDArray[np.float32]]
"""Waits until a row's share of its sections has arrived on the host, and returns it, (C, n, Y, X)."""

TENSOR_TYPES = {"u1", "u2", "u4", "u8", "i1", "i2", "i4", "i8", "f2", "f4", "f8"}
"""Types of voxels, as `numpy.dtype.str` ends, that torch has too."""


def read_slabs(
    image: VolumeSource, intensity: IntensityRange, plan: InferencePlan, grid: WindowGrid
) -> Iterator[npt.NDArray]:
    """Yield what the windows of each row see, (C, Z, Y, X) in the type it is stored in.

    Only the sections that the row before did not see are read.

    Raises:
        VolumeError: If the file cannot be read there.
    """
    padded = plan.padded(image, intensity.low)
    slab, seen_to = None, 0
    for row in grid.rows():
        box = grid.seen_by_row(row)
        shared = max(0, seen_to - box.start[0]) if slab is not None else 0
        new = Box((box.start[0] + shared, *box.start[1:]), box.stop)
        fresh = read_padded(padded, _moved(new, plan.pad), plan.beyond, intensity.low)
        slab = fresh if slab is None or shared == 0 else np.concatenate([slab[:, -shared:], fresh], axis=1)
        seen_to = box.stop[0]
        yield slab


def scale_on(device: torch.device, slab: npt.NDArray, intensity: IntensityRange) -> Tensor:
    """Move raw voxels to a device and scale them there, with the arithmetic of `IntensityRange.scale`."""
    if slab.dtype.str[1:] not in TENSOR_TYPES or not slab.dtype.isnative:
        slab = slab.astype(np.float32)
    voxels = torch.from_numpy(np.ascontiguousarray(slab))
    if device.type == "cuda":
        voxels = voxels.pin_memory()
    raw = voxels.to(device, non_blocking=True).to(torch.float32)
    if not intensity.clips:
        return raw
    return raw.sub_(float(np.float32(intensity.low))).mul_(float(intensity.gain)).clamp_(0, 1)


def to_host(share: Tensor) -> Share:
    """Begin to copy a row's share to the host; the device goes on with the next row meanwhile."""
    if share.device.type != "cuda":
        return share.numpy
    copy = torch.empty(share.shape, dtype=share.dtype, pin_memory=True)
    copy.copy_(share, non_blocking=True)
    copied = torch.cuda.Event()
    copied.record(torch.cuda.current_stream(share.device))

    def wait() -> npt.NDArray[np.float32]:
        copied.synchronize()
        return copy.numpy()

    return wait


def _moved(box: Box, pad: ZYX) -> Box:
    """Return a box counted from the volume's first voxel, counted from the first voxel of the padding."""
    z, y, x = (a + p for a, p in zip(box.start, pad, strict=True))
    return Box.at((z, y, x), box.shape)
