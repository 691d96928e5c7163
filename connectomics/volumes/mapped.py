"""Voxels that lie in a file one after the other, uncompressed, behind a header."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

from connectomics.errors import VolumeError
from connectomics.geometry import Box
from connectomics.volumes.axes import Axes
from connectomics.volumes.damage import require_regular


@dataclass(frozen=True, slots=True)
class MappedVoxels:
    """Where the voxels of an array lie in a file; every read maps them anew, so it may be handed to other processes."""

    path: Path
    offset: int
    """Byte at which they begin."""
    dtype: np.dtype
    """Their type as stored."""
    order: Literal["C", "F"] = "C"
    """"C" if the last axis is the fastest, "F" if the first one is."""

    def check(self, shape: tuple[int, ...]) -> None:
        """Make sure that the file is long enough.

        Raises:
            VolumeError: If it is not.
        """
        needed, size = self.offset + prod(shape) * self.dtype.itemsize, self.path.stat().st_size
        if self.offset < 0 or needed > size:
            raise VolumeError(f"{self.path} is cut off: its voxels reach to byte {needed}, it has {size}")

    def read(self, axes: Axes, box: Box) -> npt.NDArray:
        """Return the voxels of a box, (C, Z, Y, X), in the byte order of this machine."""
        require_regular(self.path)
        whole = np.memmap(self.path, self.dtype, "r", self.offset, axes.stored, self.order)
        return axes.arrange(np.array(whole[axes.index(box)], self.dtype.newbyteorder("=")))
