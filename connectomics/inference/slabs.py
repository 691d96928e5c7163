"""Move slabs of sections from a file to a device, and their predictions back."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from connectomics.geometry import ZYX, Box
from connectomics.inference.plan import InferencePlan
from connectomics.inference.window_grid import WindowGrid
from connectomics.volumes.chunk_layers import by_layers
from connectomics.volumes.intensity import IntensityRange
from connectomics.volumes.padding import read_padded
from connectomics.volumes.source import VolumeSource

Share = Callable[[], npt.NDArray[np.float32]]
"""Waits until a row's share of its sections has arrived on the host, and returns it, (C, n, Y, X)."""

TENSOR_TYPES = {"u1", "u2", "u4", "u8", "i1", "i2", "i4", "i8", "f2", "f4", "f8"}
"""Voxel types that torch has as well, by the end of `numpy.dtype.str`."""


def read_slabs(
    image: VolumeSource, intensity: IntensityRange, plan: InferencePlan, grid: WindowGrid
) -> Iterator[npt.NDArray]:
    """Yield what the windows of each row see, (C, Z, Y, X) in the type it is stored in.

    Only the sections that the row before did not see are read.

    Raises:
        VolumeError: If the file cannot be read there.
    """
    padded = plan.padded(by_layers(image, grid.region), intensity.low)
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
    """Move raw voxels to a device and scale them there, with the arithmetic of `IntensityRange.scale`.

    The result has memory of its own: a slab may be a view of the source's, and the next row sees its overlap again.
    """
    raw = _copied(slab, device)
    if not intensity.clips:
        return raw
    return raw.sub_(float(np.float32(intensity.low))).mul_(float(intensity.gain)).clamp_(0, 1)


def to_host(share: Tensor) -> Share:
    """Begin to copy a row's share to the host; meanwhile the device starts on the next row."""
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


def _copied(slab: npt.NDArray, device: torch.device) -> Tensor:
    """Return a copy of voxels of any type, which may be read-only, as float32 on a device."""
    if device.type != "cuda":
        return torch.from_numpy(slab.astype(np.float32, order="C")).to(device)
    kind = slab.dtype.newbyteorder("=") if slab.dtype.str[1:] in TENSOR_TYPES else np.dtype(np.float32)
    same = torch.from_numpy(np.empty(0, kind)).dtype
    pinned = torch.empty(slab.shape, dtype=same, pin_memory=True)
    np.copyto(pinned.numpy(), slab, casting="unsafe")
    return pinned.to(device, non_blocking=True).to(torch.float32)


def _moved(box: Box, pad: ZYX) -> Box:
    """Return a box counted from the volume's first voxel, counted from the first voxel of the padding."""
    z, y, x = (a + p for a, p in zip(box.start, pad, strict=True))
    return Box.at((z, y, x), box.shape)
