"""Exports as OME-Zarr 0.5."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy.typing as npt
import zarr

from connectomics.geometry import ZYX, Box
from connectomics.volumes.exported import ExportedVolume
from connectomics.volumes.ome_levels import describe_levels
from connectomics.volumes.pyramid import CHUNK, level_shapes, write_levels
from connectomics.volumes.store import WHOLE


def write_ome_zarr(path: Path, volume: ExportedVolume) -> None:
    """Write a group of Zarr 3 with one array for each resolution, and what OME-Zarr says about them."""
    axes = ["z", "y", "x"] if volume.source.info.channels == 1 else ["c", "z", "y", "x"]
    shapes = level_shapes(volume.source.shape)
    group = zarr.open_group(str(path), mode="w", zarr_format=3)
    name = path.name.partition(".ome")[0].lstrip(".")
    offset = volume.source.info.offset_nm
    group.attrs["ome"] = describe_levels(name, axes, len(shapes), volume.spacing_nm, offset, volume.is_label)
    before = () if len(axes) == 3 else (volume.source.info.channels,)
    arrays = [
        group.create_array(
            str(level), shape=(*before, *shape), dtype=volume.dtype, dimension_names=axes,
            **WHOLE, chunks=(*before, *(min(c, n) for c, n in zip(CHUNK, shape, strict=True))),
        )
        for level, shape in enumerate(shapes)
    ]  # fmt: skip
    for array in arrays:
        array.attrs.update(_attributes(volume))

    def put(level: int, start: ZYX, voxels: npt.NDArray) -> None:
        _, z, y, x = voxels.shape
        place = Box.at(start, (z, y, x)).slices
        arrays[level][(..., *place)] = voxels[0] if len(axes) == 3 else voxels

    write_levels(volume, put)


def _attributes(volume: ExportedVolume) -> dict[str, Any]:
    """Return what of the file's own attributes an array keeps."""
    names = {"channels": ", ".join(volume.channel_names)} if volume.channel_names else {}
    return names | ({"scale": volume.scale} if volume.scale else {})
