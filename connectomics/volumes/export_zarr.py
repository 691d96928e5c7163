"""Exports as OME-Zarr 0.5."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy.typing as npt
import zarr

from connectomics.geometry import ZYX, Box
from connectomics.volumes.exported import ExportedVolume
from connectomics.volumes.pyramid import CHUNK, level_shapes, level_shift, write_levels
from connectomics.volumes.write import WHOLE

VERSION = "0.5"


def write_ome_zarr(path: Path, volume: ExportedVolume) -> None:
    """Write a group of Zarr 3 with one array for each resolution, and what OME-Zarr says about them."""
    axes = ["z", "y", "x"] if volume.source.info.channels == 1 else ["c", "z", "y", "x"]
    shapes = level_shapes(volume.source.shape)
    group = zarr.open_group(str(path), mode="w", zarr_format=3)
    name = path.name.partition(".ome")[0].lstrip(".")
    group.attrs["ome"] = {"version": VERSION, "multiscales": [_multiscale(volume, axes, len(shapes), name)]}
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


def _multiscale(volume: ExportedVolume, axes: list[str], levels: int, name: str) -> dict[str, Any]:
    """Return the entry of `multiscales`: which arrays there are, and where their voxels lie."""
    of_channels = [1.0] * (len(axes) - 3)
    z, y, x = volume.spacing_nm
    datasets = []
    for level in range(levels):
        shift = level_shift(level, volume.spacing_nm, volume.is_label)
        offset = [a + b for a, b in zip(volume.source.info.offset_nm, shift, strict=True)]
        steps = [
            {"type": "scale", "scale": [*of_channels, z, y * 2**level, x * 2**level]},
            {"type": "translation", "translation": [*(0.0 for _ in of_channels), *offset]},
        ]
        datasets.append({"path": str(level), "coordinateTransformations": steps})
    stated = [{"name": axis, "type": "channel"} if axis == "c" else
              {"name": axis, "type": "space", "unit": "nanometer"} for axis in axes]  # fmt: skip
    return {"name": name, "axes": stated, "datasets": datasets, "type": "nearest" if volume.is_label else "mean"}


def _attributes(volume: ExportedVolume) -> dict[str, Any]:
    """Return what of the file's own attributes an array keeps."""
    names = {"channels": ", ".join(volume.channel_names)} if volume.channel_names else {}
    return names | ({"scale": volume.scale} if volume.scale else {})
