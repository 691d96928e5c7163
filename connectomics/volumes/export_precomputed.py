"""Exports as Neuroglancer's precomputed volumes, encoding "raw"."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy.typing as npt

from connectomics.errors import VolumeError
from connectomics.geometry import ZYX
from connectomics.volumes.exported import ExportedVolume
from connectomics.volumes.pyramid import CHUNK, chunk_boxes, level_shapes, write_levels
from connectomics.volumes.tiff_words import SCALE


def write_precomputed(path: Path, volume: ExportedVolume) -> None:
    """Write a folder with `info` and one file for each chunk of each resolution.

    A chunk is named by the voxels that it holds, and its numbers lie with x the fastest, then y, z and channel.

    Raises:
        VolumeError: If the volume does not begin at a whole voxel, as the format has it.
    """
    path.mkdir()
    scales = _scales(volume)
    info: dict[str, Any] = {
        "@type": "neuroglancer_multiscale_volume",
        "type": "segmentation" if volume.is_label else "image",
        "data_type": volume.dtype.name,
        "num_channels": volume.source.info.channels,
        "scales": scales,
    }
    info |= {SCALE: volume.scale} if volume.scale else {}
    (path / "info").write_text(json.dumps(info, indent=1) + "\n", encoding="utf-8")
    for scale in scales:
        (path / scale["key"]).mkdir()
    stored = volume.dtype.newbyteorder("<")

    def put(level: int, start: ZYX, voxels: npt.NDArray) -> None:
        folder, first = path / scales[level]["key"], scales[level]["voxel_offset"]
        _, z, y, x = voxels.shape
        for box in chunk_boxes(start, (z, y, x)):
            spans = zip(start[::-1], first, box.start[::-1], box.stop[::-1], strict=True)
            name = "_".join(f"{at + o + a}-{at + o + b}" for at, o, a, b in spans)
            (folder / name).write_bytes(voxels[(slice(None), *box.slices)].astype(stored, order="C").tobytes())

    write_levels(volume, put)


def _scales(volume: ExportedVolume) -> list[dict[str, Any]]:
    """Return what `info` says of each resolution; there, triples are (x, y, z)."""
    offset = []
    for length, size in zip(volume.source.info.offset_nm, volume.spacing_nm, strict=True):
        offset.append(round(length / size))
        if abs(length / size - offset[-1]) > 0.01:
            raise VolumeError(
                f"{volume.source.info.location} begins at {volume.source.info.offset_nm} nm, which is no whole number "
                f"of voxels of {volume.spacing_nm} nm, as precomputed needs; export it --as ome-zarr"
            )
    z, y, x = volume.spacing_nm
    return [
        {
            "key": f"{2**level}_{2**level}_1",
            "size": list(shape[::-1]),
            "resolution": [x * 2**level, y * 2**level, z],
            # coarser levels begin at the nearest of their voxels
            "voxel_offset": [round(offset[2] / 2**level), round(offset[1] / 2**level), offset[0]],
            "chunk_sizes": [list(CHUNK[::-1])],
            "encoding": "raw",
        }
        for level, shape in enumerate(level_shapes(volume.source.shape))
    ]
