"""Write a volume section by section; it gets its name only when it is whole."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from math import prod
from operator import add
from pathlib import Path
from types import TracebackType
from typing import Any, Self, final

import h5py
import numpy as np
import numpy.typing as npt
import zarr

from connectomics.errors import VolumeError
from connectomics.files import why_not_written, write_whole
from connectomics.geometry import ZYX, Box
from connectomics.volumes.chunks import CHUNK, LEVEL, chunk_shape, cut_chunks, deflate
from connectomics.volumes.ome_store import OMEZarrStore
from connectomics.volumes.store import WHOLE, Store, as_json

THREADS = min(16, os.cpu_count() or 1)
"""Number of threads that compress chunks."""


@final
class HDF5Store(Store):
    """A new HDF5 file whose chunks are compressed by all cores and written as they are."""

    def __init__(self, path: Path, shape: tuple[int, ...], dtype: np.dtype, attributes: Mapping[str, Any]) -> None:
        self._chunk = chunk_shape(shape)
        self._file = h5py.File(path, "w")
        self._dataset = self._file.create_dataset("main", shape, dtype, chunks=self._chunk, compression="gzip",
                                                  compression_opts=LEVEL, shuffle=True)  # fmt: skip
        self._dataset.attrs.update(attributes)
        self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix="deflate")

    def write_layer(self, start: ZYX, layer: npt.NDArray) -> None:
        """Compress the chunks of a layer in parallel, and write them."""
        origin = (*[0] * (layer.ndim - 3), *start)
        places, chunks = zip(*cut_chunks(layer, self._chunk), strict=True)
        for place, compressed in zip(places, self._pool.map(deflate, chunks), strict=True):
            self._dataset.id.write_direct_chunk(tuple(map(add, origin, place)), compressed)

    def close(self) -> None:
        """Finish the file."""
        self._pool.shutdown()
        self._file.close()


@final
class ZarrStore(Store):
    """A new Zarr 3 store."""

    def __init__(self, path: Path, shape: tuple[int, ...], dtype: np.dtype, attributes: Mapping[str, Any]) -> None:
        group = zarr.open_group(str(path), mode="w", zarr_format=3)
        self._array = group.create_array("main", shape=shape, dtype=dtype, chunks=chunk_shape(shape), **WHOLE)
        self._array.attrs.update({name: as_json(value) for name, value in attributes.items()})

    def write_layer(self, start: ZYX, layer: npt.NDArray) -> None:
        """Write the chunks of a layer, which Zarr compresses."""
        _, y, x = layer.shape[-3:]
        self._array[(..., *Box.at(start, (layer.shape[-3], y, x)).slices)] = layer

    def close(self) -> None:
        """Do nothing; every chunk is a file that is closed already."""


WRITERS: Mapping[str, tuple[str, Callable[..., Store]]] = {
    "h5": (".h5", HDF5Store),
    "zarr": (".zarr", ZarrStore),
    "ome-zarr": (".ome.zarr", OMEZarrStore),
}
"""`inference.save_backend` to the suffix of a file and what creates it."""


@final
class VolumeWriter:
    """Writes dataset `main` of a new file under a temporary name, and renames it when whole.

    Use it as a context: leaving it by an exception removes what was written.
    """

    def __init__(
        self, path: Path, channels: int, shape: ZYX, dtype: npt.DTypeLike, attributes: Mapping[str, Any]
    ) -> None:
        """Prepare to write `path`.

        Args:
            path: Final name; its suffix is that of one of `WRITERS`.
            channels: One channel makes a (Z, Y, X) dataset, more a (C, Z, Y, X) one.
            shape: Extent along (z, y, x), in voxels.
            dtype: Type of the voxels.
            attributes: Stored with the dataset: `resolution` and `offset` in nm, ...
        """
        self._path, self._whole = path, write_whole(path, VolumeError)
        self._make = max((len(suffix), make) for suffix, make in WRITERS.values() if path.name.endswith(suffix))[1]
        self._shape = shape if channels == 1 else (channels, *shape)
        self._dtype, self._attributes = np.dtype(dtype), attributes
        self._chunk = chunk_shape(self._shape)
        self._depth = min(CHUNK[0], shape[0])
        self._store: Store | None = None
        self._layer = np.empty(0, self._dtype)  # of the block that is being written
        self._next = Box((0, 0, 0), (0, 0, 0))  # what of that block was written
        self._written = 0  # voxels along (z, y, x), of all blocks

    def __enter__(self) -> Self:
        partial = self._whole.__enter__()
        try:
            self._store = self._make(partial, self._shape, self._dtype, self._attributes)
        except BaseException as error:
            if self._whole.__exit__(type(error), error, error.__traceback__) is not True:
                raise
        return self

    def write(self, z: int, sections: npt.NDArray, corner: tuple[int, int] = (0, 0)) -> None:
        """Write sections (C, n, Y, X), which follow those that were written before.

        Args:
            z: The first section.
            sections: As wide as the volume, or a block of it: its sections come one after the other, then those of the
                next block. A block begins at corners of chunks.
            corner: Where the sections begin in the plane, along (y, x).

        Raises:
            VolumeError: If the disk does not take them.
        """
        self._follow(z, sections, corner)
        voxels = sections[0] if len(self._shape) == 3 else sections
        taken = 0
        while taken < sections.shape[1]:
            at = z + taken
            filled = at % self._depth
            n = min(self._depth - filled, sections.shape[1] - taken)
            self._layer[..., filled : filled + n, :, :] = voxels[..., taken : taken + n, :, :]
            taken += n
            if filled + n == self._depth or at + n == self._shape[-3]:
                self._write_layer((at - filled, *corner), self._layer[..., : filled + n, :, :])
        self._written += prod(sections.shape[1:])

    def _follow(self, z: int, sections: npt.NDArray, corner: tuple[int, int]) -> None:
        """Make sure that the sections are those that come next, in this block or a new one."""
        _, n, y, x = sections.shape
        given = Box.at((z, *corner), (n, y, x))
        if z == 0 and self._next.stop[0] in (0, self._shape[-3]):
            if any(a % chunk for a, chunk in zip(corner, self._chunk[-2:], strict=True)):
                raise ValueError(f"a block of {self._path} begins at {corner}; its chunks are {self._chunk}")
            self._layer = np.empty((*self._shape[:-3], self._depth, y, x), self._dtype)
        elif z != self._next.stop[0] or given.slices[1:] != self._next.slices[1:]:
            raise ValueError(f"{given} was given to {self._path}, after {self._next}")
        self._next = given

    def _write_layer(self, start: ZYX, layer: npt.NDArray) -> None:
        assert self._store is not None
        try:
            self._store.write_layer(start, layer)
        except (OSError, RuntimeError) as error:
            raise VolumeError(f"{self._path} cannot be written at {start}: {why_not_written(error)}") from error

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        assert self._store is not None
        if error is not None:
            with suppress(OSError, RuntimeError):
                self._store.close()
            self._whole.__exit__(kind, error, traceback)
            return
        with ExitStack() as stack:
            stack.push(self._whole)
            if self._written != prod(self._shape[-3:]):
                raise ValueError(f"{self._path} has {prod(self._shape[-3:])} voxels, {self._written} were written")
            self._close_store()

    def _close_store(self) -> None:
        assert self._store is not None
        try:
            self._store.close()
        except (OSError, RuntimeError) as error:  # the latter of HDF5, where the disk takes no more
            raise VolumeError(f"{self._path} cannot be written: {why_not_written(error)}") from error


def write_volume(path: Path, voxels: npt.NDArray, attributes: Mapping[str, Any]) -> None:
    """Write an array (Z, Y, X) or (C, Z, Y, X) as dataset `main` of a new file."""
    whole = voxels if voxels.ndim == 4 else voxels[np.newaxis]
    channels, z, y, x = whole.shape
    with VolumeWriter(path, channels, (z, y, x), voxels.dtype, attributes) as writer:
        writer.write(0, whole)
