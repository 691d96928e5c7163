"""Planes that do not fit into the memory are predicted in blocks; how large these may be."""

from __future__ import annotations

from collections.abc import Sequence
from math import isqrt

import torch

from connectomics.inference.plan import InferencePlan
from connectomics.inference.rows import Lane
from connectomics.volumes.chunks import CHUNK
from connectomics.volumes.source import VolumeSource

SHARE = 0.4
"""Share of a memory that the sections which are worked on may take; the network's windows need room as well."""


def choose_block(
    plan: InferencePlan, image: VolumeSource, lanes: Sequence[Lane], host_bytes: float
) -> tuple[int, int] | None:
    """Return the extent along (y, x) of the blocks of a plane; None where whole planes fit, or are asked for.

    What is set (`inference.block_size`) is taken as it is. Otherwise blocks are as large as fit, whole chunks of the
    saved file; the prediction does not depend on them.

    Args:
        plan: How the volume is predicted.
        image: The volume.
        lanes: The devices.
        host_bytes: Memory of the machine, or what its container may use.
    """
    if plan.block is not None or plan.whole_plane:
        return plan.block
    _, y, x = image.shape
    pixels = SHARE * host_bytes / bytes_a_pixel(plan, image, lanes)
    for lane in lanes:
        if lane.device.type == "cuda":
            free, _ = torch.cuda.mem_get_info(lane.device)
            pixels = min(pixels, SHARE * free / _bytes_on_device(plan, image))
    if y * x <= pixels:
        return None
    side = max(1, isqrt(int(pixels)) // CHUNK[1]) * CHUNK[1]
    return side, side


def bytes_a_pixel(plan: InferencePlan, image: VolumeSource, lanes: Sequence[Lane]) -> int:
    """Return what the host holds for each pixel of the plane, in bytes: some window depths of sections."""
    depth, info = plan.grid(image.shape).window[0], image.info
    raw = info.channels * info.dtype.itemsize
    rows = len(lanes) + 1  # in work, and read ahead
    layer = (info.chunk[0] if info.chunk is not None else 0) + depth
    held = depth * (raw * (rows + 1) + 4 * plan.channels * (rows + 2)) + layer * raw
    on_host = sum(lane.device.type != "cuda" for lane in lanes)
    return held + on_host * _bytes_on_device(plan, image)


def _bytes_on_device(plan: InferencePlan, image: VolumeSource) -> int:
    """Return what a device holds of a row for each pixel: its grey values, scaled, and the blended prediction."""
    depth, info = plan.grid(image.shape).window[0], image.info
    return depth * (info.channels * (4 + info.dtype.itemsize) + 4 * plan.channels)
