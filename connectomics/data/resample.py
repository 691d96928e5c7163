"""Cut a patch out of a volume, every geometric step in one resampling."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import ceil, floor

import cv2
import numpy as np
from numpy.typing import NDArray

from connectomics.data.augment.geometric import Geometry, SectionMap
from connectomics.data.targets import NOT_ANNOTATED
from connectomics.data.volume import LearningVolume
from connectomics.geometry import ZYX, Box
from connectomics.volumes.padding import PadMode, inside_indices
from connectomics.volumes.source import VolumeSource

BORDERS: Mapping[PadMode, int] = {
    "reflect": cv2.BORDER_REFLECT_101,
    "replicate": cv2.BORDER_REPLICATE,
    "constant": cv2.BORDER_CONSTANT,
}

RESAMPLED = {np.dtype(t) for t in (np.uint8, np.uint16, np.float32)}
"""Types that are resampled as they are; others become float32 first (cv2 is off by 2 where it resamples int16)."""


def cut(volume: LearningVolume, start: ZYX, geometry: Geometry, pad_mode: PadMode) -> tuple[NDArray, NDArray[np.uint8]]:
    """Cut a patch.

    Args:
        volume: Where from; only the voxels that the patch shows are read.
        start: Position of the patch along (z, y, x); it may reach outside the volume.
        geometry: Which voxel each of the patch shows.
        pad_mode: What is shown where there is no tissue; with "constant" the image is 0 there, and not annotated.

    Returns:
        Raw grey values (C, Z, Y, X), interpolated linearly, and codes (Z, Y, X), of the nearest voxel.
    """
    box = Box.at(start, geometry.shape)
    if geometry.keeps_place and box.lies_within(volume.shape):
        order = slice(None, None, -1 if geometry.flip_z else 1)
        image, codes = volume.image.read(box)[:, order], volume.codes.read(box)[0, order]
        return np.ascontiguousarray(image), np.ascontiguousarray(codes)
    maps = geometry.section_maps()
    image = _resample(volume.image, start, geometry, maps, pad_mode, cv2.INTER_LINEAR, fill=0)
    codes = _resample(volume.codes, start, geometry, maps, pad_mode, cv2.INTER_NEAREST, fill=NOT_ANNOTATED)
    return image, codes[0]


def cut_codes(volume: LearningVolume, start: ZYX, geometry: Geometry, pad_mode: PadMode) -> NDArray[np.uint8]:
    """Cut the codes (Z, Y, X) of a patch alone; see `cut`."""
    box = Box.at(start, geometry.shape)
    if geometry.keeps_place and box.lies_within(volume.shape):
        order = slice(None, None, -1 if geometry.flip_z else 1)
        return np.ascontiguousarray(volume.codes.read(box)[0, order])
    maps = geometry.section_maps()
    return _resample(volume.codes, start, geometry, maps, pad_mode, cv2.INTER_NEAREST, fill=NOT_ANNOTATED)[0]


def _resample(
    source: VolumeSource,
    start: ZYX,
    geometry: Geometry,
    maps: Sequence[SectionMap],
    pad_mode: PadMode,
    interpolation: int,
    fill: int,
) -> NDArray:
    """Return the voxels of a patch, (C, Z, Y, X)."""
    depth = _depth(start[0], geometry, source.shape[0], pad_mode)
    rows = _extent([m.y for m in maps], start[1], source.shape[1], pad_mode)
    columns = _extent([m.x for m in maps], start[2], source.shape[2], pad_mode)
    window = Box((int(depth.min()), rows.start, columns.start), (int(depth.max()) + 1, rows.stop, columns.stop))
    voxels = source.read(window)  # (C, Z, Y, X), with the margin that the maps need
    if voxels.dtype not in RESAMPLED:
        voxels = voxels.astype(np.float32)
    patch = np.empty((source.info.channels, *geometry.shape), voxels.dtype)
    for group in maps:
        y = group.y + np.float32(start[1] - rows.start)
        x = group.x + np.float32(start[2] - columns.start)
        for channel, out in zip(voxels, patch, strict=True):
            for section in group.sections:
                cv2.remap(
                    channel[depth[section] - window.start[0]], x, y, interpolation,
                    dst=out[section], borderMode=BORDERS[pad_mode], borderValue=fill,
                )  # fmt: skip
    if pad_mode == "constant":
        patch[:, _outside(start[0], geometry, source.shape[0])] = fill
    return patch


def _depth(start: int, geometry: Geometry, extent: int, pad_mode: PadMode) -> NDArray[np.int64]:
    """Return which section of the volume each section of the patch shows."""
    sections = inside_indices(start, start + geometry.shape[0], extent, pad_mode)
    return sections[::-1] if geometry.flip_z else sections


def _outside(start: int, geometry: Geometry, extent: int) -> NDArray[np.bool_]:
    """Return which sections of the patch lie beyond the volume."""
    sections = np.arange(start, start + geometry.shape[0])
    outside = (sections < 0) | (sections >= extent)
    return outside[::-1] if geometry.flip_z else outside


def _extent(maps: Sequence[NDArray[np.float32]], start: int, extent: int, pad_mode: PadMode) -> range:
    """Return the positions along one axis that the maps need, mirrored ones included."""
    low = floor(min(float(m.min()) for m in maps)) + start
    high = ceil(max(float(m.max()) for m in maps)) + start + 1
    first, last = low, high
    if pad_mode == "reflect":
        first = min(low, 2 * (extent - 1) - high)
        last = max(high, -low)
    first, last = (min(max(edge, 0), extent - 1) for edge in (first, last))
    return range(first, last + 1)
