"""Volumes as sharded OME-Zarr 0.5: many chunks a file, and smaller copies for viewers."""

from __future__ import annotations

from collections.abc import Mapping
from math import ceil, prod
from pathlib import Path
from typing import Any, final

import numpy as np
import numpy.typing as npt
import zarr

from connectomics.geometry import ZYX, Box
from connectomics.volumes.chunks import chunk_shape
from connectomics.volumes.halving import halve, level_shapes
from connectomics.volumes.ome_levels import describe_levels
from connectomics.volumes.sections import cut_plane
from connectomics.volumes.store import WHOLE, Store, as_json

SHARD_BYTES = 2**30
"""Largest file, before compression."""

SCREEN = 1024
"""Extent of a plane, in pixels, that is not halved any more: it fits a screen."""


@final
class OMEZarrStore(Store):
    """A new group of Zarr 3 with an array for each resolution.

    A file holds the chunks of some sections, up to the whole plane; it is written at once where layers span the plane,
    and by this process alone where they do not: two that write parts of one file would lose chunks.
    """

    def __init__(self, path: Path, shape: tuple[int, ...], dtype: np.dtype, attributes: Mapping[str, Any]) -> None:
        axes = ["c", "z", "y", "x"][4 - len(shape) :]
        before, extent = shape[:-3], (shape[-3], shape[-2], shape[-1])
        self._shapes = level_shapes(extent, most=32, smallest=SCREEN)
        self._files = [shard_shape((*before, *level), dtype) for level in self._shapes]
        self._is_label = dtype.kind != "f" and "scale" not in attributes
        group = zarr.open_group(str(path), mode="w", zarr_format=3)
        spacing, offset = attributes.get("resolution", (1.0, 1.0, 1.0)), attributes.get("offset", (0.0, 0.0, 0.0))
        name = path.name.partition(".ome")[0].lstrip(".")
        group.attrs["ome"] = describe_levels(name, axes, len(self._shapes), spacing, offset, self._is_label)
        self._levels = [
            group.create_array(
                str(number), shape=(*before, *level), dtype=dtype, dimension_names=axes,
                chunks=chunk_shape((*before, *level)), shards=self._files[number], **WHOLE,
            )
            for number, level in enumerate(self._shapes)
        ]  # fmt: skip
        self._levels[0].attrs.update({key: as_json(value) for key, value in attributes.items()})

    def write_layer(self, start: ZYX, layer: npt.NDArray) -> None:
        """Write the chunks of a layer, which Zarr compresses."""
        _, y, x = layer.shape[-3:]
        self._levels[0][(..., *Box.at(start, (layer.shape[-3], y, x)).slices)] = layer

    def close(self) -> None:
        """Make the smaller copies, a file at a time."""
        for number, extent in enumerate(self._shapes[1:], start=1):
            fine, coarse = self._levels[number - 1], self._levels[number]
            depth, high, wide = self._files[number][-3:]
            for plane in cut_plane(extent, (high, wide)):
                for box in plane.slabs(depth):
                    z, y, x = box.slices
                    part = np.asarray(fine[..., z, 2 * y.start : 2 * y.stop, 2 * x.start : 2 * x.stop])
                    whole = part.reshape(-1, *part.shape[-3:])
                    coarse[(..., *box.slices)] = halve(whole, self._is_label).reshape(*part.shape[:-3], *box.shape)


def shard_shape(shape: tuple[int, ...], dtype: np.dtype) -> tuple[int, ...]:
    """Return how much of an array (Z, Y, X) or (C, Z, Y, X) a file holds: chunks of some sections, side by side."""
    chunk = chunk_shape(shape)
    counts = [1] * (len(shape) - 2) + [ceil(n / c) for n, c in zip(shape[-2:], chunk[-2:], strict=True)]
    while prod(counts) * prod(chunk) * np.dtype(dtype).itemsize > SHARD_BYTES and max(counts) > 1:
        longest = max(range(len(counts)), key=counts.__getitem__)
        counts[longest] = ceil(counts[longest] / 2)
    return tuple(n * c for n, c in zip(counts, chunk, strict=True))
