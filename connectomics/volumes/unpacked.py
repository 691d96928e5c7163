"""Voxels that are compressed as one stream, which can be read only from its beginning: they are kept in memory."""

from __future__ import annotations

import os
from collections.abc import Callable
from math import prod
from pathlib import Path
from typing import Any, Literal, final

import numpy as np
import numpy.typing as npt

from connectomics.errors import VolumeError
from connectomics.geometry import Box
from connectomics.volumes.axes import Axes

MOST_SHRUNK = 1100
"""How many bytes a byte of deflate can become at most, and a little more; a damaged header asks for more."""

PIECE = 2**24
"""How many bytes are unpacked at a time."""


@final
class UnpackedVoxels:
    """An array that is unpacked when its first voxel is asked for; other processes unpack it for themselves."""

    def __init__(
        self,
        path: Path,
        unpack: Callable[[Path], Any],
        dtype: np.dtype,
        shape: tuple[int, ...],
        order: Literal["C", "F"],
        packed: int,
    ) -> None:
        """Describe an array.

        Args:
            path: The file.
            unpack: Opens it, as a context, for reading bytes from the first voxel on; must be known by name, since
                it is handed to other processes.
            dtype: Type of the voxels as stored.
            shape: Their shape.
            order: "C" if the last axis is the fastest, "F" if the first one is.
            packed: How many bytes they have in the file.

        Raises:
            VolumeError: If so few bytes cannot hold so many voxels, or the memory cannot.
        """
        self._path, self._unpack, self._dtype, self._shape, self._order = path, unpack, dtype, shape, order
        self._voxels: npt.NDArray | None = None
        size = prod(shape) * dtype.itemsize
        if size > MOST_SHRUNK * packed:
            raise VolumeError(f"{path} is damaged: it states {shape} voxels, more than {packed} bytes can hold")
        memory = _memory()
        if size > memory:
            raise VolumeError(
                f"{path} is compressed as a whole, and its {size / 2**30:.1f} GiB of voxels do not fit the memory of "
                f"{memory / 2**30:.1f} GiB; unpack it, or store it as HDF5 or Zarr"
            )

    def read(self, axes: Axes, box: Box) -> npt.NDArray:
        """Return the voxels of a box, (C, Z, Y, X)."""
        if self._voxels is None:
            self._voxels = self._unpack_all()
        return np.array(axes.arrange(self._voxels[axes.index(box)]), self._dtype.newbyteorder("="))

    def _unpack_all(self) -> npt.NDArray:
        """Unpack the voxels, and what follows them too: the check sum stands at the end."""
        voxels = np.empty(prod(self._shape), self._dtype)
        into, filled = voxels.view(np.uint8), 0
        with self._unpack(self._path) as stream:
            while piece := stream.read(PIECE):
                taken = piece[: len(into) - filled]
                into[filled : filled + len(taken)] = np.frombuffer(taken, np.uint8)
                filled += len(taken)
        if filled < len(into):
            raise ValueError(f"it is cut off: {filled} of {len(into)} bytes of its voxels are there")
        return voxels.reshape(self._shape, order=self._order)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_voxels": None}


def _memory() -> int:
    """Return the bytes of memory of this machine; where it does not say, more than there can be."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, OSError, ValueError):  # Windows
        return 2**62
