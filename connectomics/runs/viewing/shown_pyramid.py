"""A volume as an OME-Zarr 0.5 pyramid, from which a browser reads what it shows, and no more."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import zarr
from zarr.codecs import GzipCodec

from connectomics.geometry import ZYX, Box, Spacing
from connectomics.runs.viewing.shown_layers import Layer, LazyVoxels

CHUNK: ZYX = (32, 128, 128)
TILE: ZYX = (32, 1024, 1024)
"""What is in memory at a time, in voxels: whole chunks."""

SMALLEST = 2**21
"""A level of at most so many voxels is the last."""

PROBABILITY_ONE = 255
"""What a probability of 1 is stored as."""


def write_pyramid(folder: Path, layer: Layer) -> None:
    """Write a volume and smaller copies of it, tile by tile.

    A copy halves the axes along which voxels are smallest, until it is small: grey values and probabilities are
    averaged, of ids one is taken.

    Args:
        folder: The group that is made.
        layer: The volume; probabilities become bytes.

    Raises:
        VolumeError: If the volume cannot be read.
    """
    voxels, ids = LazyVoxels(layer), layer.kind not in ("raw", "prediction")
    dtype = np.dtype(np.uint8) if layer.kind == "prediction" else voxels.dtype
    group = zarr.open_group(str(folder), mode="w", zarr_format=3)
    level = _make(group, 0, voxels.shape, dtype)
    for box in _tiles(voxels.shape):
        part = voxels[box.slices]
        level[box.slices] = _as_bytes(part) if layer.kind == "prediction" else part
    scales = [layer.spacing_nm]
    while prod(level.shape) > SMALLEST:
        factors = _factors(scales[-1])
        level = _halve(group, len(scales), level, factors, ids)
        z, y, x = (s * f for s, f in zip(scales[-1], factors, strict=True))
        scales.append((z, y, x))
    group.attrs["ome"] = {"version": "0.5", "multiscales": [_describe(scales, layer.source.info.offset_nm)]}


def _as_bytes(probability: npt.NDArray) -> npt.NDArray[np.uint8]:
    return np.rint(np.clip(probability, 0, 1) * PROBABILITY_ONE).astype(np.uint8)


def _make(group: zarr.Group, number: int, shape: tuple[int, ...], dtype: np.dtype) -> zarr.Array:
    packed = GzipCodec(level=4)
    return group.create_array(
        str(number), shape=shape, dtype=dtype, chunks=CHUNK, compressors=[packed], dimension_names=list("zyx")
    )


def _factors(spacing_nm: Spacing) -> ZYX:
    """Return by how much each axis shrinks: axes with voxels much longer than the shortest stay."""
    z, y, x = (2 if s < 2 * min(spacing_nm) else 1 for s in spacing_nm)
    return z, y, x


def _halve(group: zarr.Group, number: int, fine: zarr.Array, factors: ZYX, ids: bool) -> zarr.Array:
    """Write the next level, and return it."""
    coarse = _make(group, number, tuple(-(-n // f) for n, f in zip(fine.shape, factors, strict=True)), fine.dtype)
    for box in _tiles(coarse.shape):
        part = tuple(slice(s.start * f, s.stop * f) for s, f in zip(box.slices, factors, strict=True))
        coarse[box.slices] = _shrink(np.asarray(fine[part]), factors, ids)
    return coarse


def _tiles(shape: tuple[int, ...]) -> Iterator[Box]:
    """Yield boxes that together are a volume (z, y, x)."""
    for start in product(*(range(0, extent, tile) for extent, tile in zip(shape, TILE, strict=True))):
        yield Box.at(start, [min(tile, extent - at) for at, tile, extent in zip(start, TILE, shape, strict=True)])


def _shrink(part: npt.NDArray, factors: ZYX, ids: bool) -> npt.NDArray:
    """Return one number of each block: an id of it, or the mean."""
    if ids:
        return part[tuple(slice(None, None, f) for f in factors)]
    padded = np.pad(part, [(0, -n % f) for n, f in zip(part.shape, factors, strict=True)], mode="edge")
    (z, y, x), (fz, fy, fx) = padded.shape, factors
    means = padded.reshape(z // fz, fz, y // fy, fy, x // fx, fx).mean(axis=(1, 3, 5), dtype=np.float32)
    return (np.rint(means) if part.dtype.kind in "ui" else means).astype(part.dtype)


def _describe(scales: list[Spacing], offset_nm: Spacing) -> dict[str, Any]:
    """Return OME's description of the levels; its positions are those of the centres of voxels."""
    datasets = []
    for number, scale in enumerate(scales):
        centre = [o + s / 2 for o, s in zip(offset_nm, scale, strict=True)]
        steps = [{"type": "scale", "scale": list(scale)}, {"type": "translation", "translation": centre}]
        datasets.append({"path": str(number), "coordinateTransformations": steps})
    axes = [{"name": axis, "type": "space", "unit": "nanometer"} for axis in "zyx"]
    return {"axes": axes, "datasets": datasets}
