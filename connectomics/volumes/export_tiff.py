"""Exports as TIFF: ImageJ's, and OME's."""

from __future__ import annotations

from collections.abc import Iterator
from math import prod
from pathlib import Path
from typing import Any

import numpy.typing as npt
import tifffile

from connectomics.errors import VolumeError
from connectomics.geometry import Box
from connectomics.volumes.exported import ExportedVolume
from connectomics.volumes.tiff_words import SCALE

MOST_IMAGEJ = 4 * 10**9
"""Bytes of voxels that an ImageJ stack holds at most; its offsets have 32 bits."""

SLAB_BYTES = 128 * 2**20
"""About how many bytes of whole sections are read at a time."""


def write_imagej(path: Path, volume: ExportedVolume) -> None:
    """Write one stack, or a hyperstack of several channels, as Fiji saves it, with voxel size and origin.

    Raises:
        VolumeError: If it is larger than ImageJ's files can be.
    """
    if _bytes(volume) > MOST_IMAGEJ:
        raise VolumeError(
            f"{volume.source.info.location} has {_bytes(volume) / 1e9:.1f} GB of voxels, more than the 4 GB of an "
            "ImageJ TIFF; export it --as ome-tiff"
        )
    z, y, x = volume.spacing_nm
    origin = [
        -offset / size for offset, size in zip(volume.source.info.offset_nm, volume.spacing_nm, strict=True)
    ]  # counted in voxels from the first one
    words: dict[str, Any] = {"axes": _axes(volume), "spacing": z, "unit": "nm"}
    words |= {f"{axis}origin": position for axis, position in zip("zyx", origin, strict=True) if position}
    words |= {"min": 0, "max": volume.scale} if volume.scale else {}
    _write(path, volume, imagej=True, metadata=words | _scale(volume), resolution=(1 / x, 1 / y))


def write_ome_tiff(path: Path, volume: ExportedVolume) -> None:
    """Write an OME-TIFF, compressed, of any size, with voxel size and position."""
    words: dict[str, Any] = {"axes": _axes(volume), "Name": path.name.partition(".ome")[0].lstrip(".")}
    for axis, size in zip("ZYX", volume.spacing_nm, strict=True):
        words |= {f"PhysicalSize{axis}": size, f"PhysicalSize{axis}Unit": "nm"}
    if volume.channel_names:
        words["Channel"] = {"Name": volume.channel_names}
    if volume.scale:
        words["MapAnnotation"] = _scale(volume)
    is_large = _bytes(volume) > MOST_IMAGEJ
    _write(path, volume, ome=True, metadata=words, compression="zlib", bigtiff=is_large)


def _write(path: Path, volume: ExportedVolume, **options: Any) -> None:
    z, y, x = volume.source.shape
    channels = volume.source.info.channels
    shape = (z, y, x) if channels == 1 else (z, channels, y, x)
    tifffile.imwrite(path, _pages(volume), shape=shape, dtype=volume.dtype, photometric="minisblack", **options)


def _pages(volume: ExportedVolume) -> Iterator[npt.NDArray]:
    """Yield the planes of a volume: section after section, and of each all channels."""
    _, y, x = volume.source.shape
    depth = max(1, SLAB_BYTES // (volume.source.info.channels * y * x * volume.dtype.itemsize))
    for box in Box.whole(volume.source.shape).slabs(depth):
        slab = volume.read(box)
        for z in range(slab.shape[1]):
            yield from slab[:, z]


def _axes(volume: ExportedVolume) -> str:
    return "ZYX" if volume.source.info.channels == 1 else "ZCYX"


def _scale(volume: ExportedVolume) -> dict[str, float]:
    return {SCALE: volume.scale} if volume.scale else {}


def _bytes(volume: ExportedVolume) -> int:
    return volume.source.info.channels * prod(volume.source.shape) * volume.dtype.itemsize
