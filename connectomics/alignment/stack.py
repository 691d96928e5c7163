"""A volume read one section at a time, and the same with its sections moved."""

from __future__ import annotations

from collections import OrderedDict
from typing import final

import numpy as np
import numpy.typing as npt

from connectomics.alignment.shift_table import ShiftTable
from connectomics.errors import VolumeError
from connectomics.geometry import ZYX, Box
from connectomics.volumes.source import VolumeInfo, VolumeSource

SLAB_BYTES = 96 * 2**20
"""Bytes of sections that are read at a time; a chunk holds several sections and should be decompressed only once."""

SLAB_SECTIONS = 8
"""Largest number of sections that are read at a time."""

KEPT_SLABS = 2
"""So many of these reads stay in memory."""


@final
class Stack:
    """The sections of a volume of one channel; the slabs that were read last stay in memory."""

    def __init__(self, source: VolumeSource) -> None:
        if source.info.channels != 1:
            raise VolumeError(f"{source.info.location} has {source.info.channels} channels; sections have one here")
        self.source = source
        _, y, x = source.shape
        self._depth = max(1, min(SLAB_SECTIONS, SLAB_BYTES // (y * x * source.info.dtype.itemsize)))
        self._slabs: OrderedDict[int, npt.NDArray] = OrderedDict()

    def __len__(self) -> int:
        return self.source.shape[0]

    def section(self, z: int) -> npt.NDArray:
        """Return section z, (Y, X); not to be written to."""
        number, place = divmod(z, self._depth)
        if number not in self._slabs:
            while len(self._slabs) >= KEPT_SLABS:
                self._slabs.popitem(last=False)
            shape, start = self.source.shape, number * self._depth
            self._slabs[number] = self.source.read(Box.sections(start, min(start + self._depth, shape[0]), shape))[0]
        self._slabs.move_to_end(number)
        return self._slabs[number][place]


@final
class MovedSource(VolumeSource):
    """A stack whose sections are moved as a table says, on a grid of its own; `fill` is read where it shows nothing."""

    def __init__(self, source: VolumeSource, table: ShiftTable, origin: ZYX, shape: ZYX, fill: int = 0) -> None:
        """Prepare to read.

        Args:
            source: The stack as imaged, with one channel.
            table: How its sections lie.
            origin: Voxel (z, y, x) of the aligned stack, counted as those of `source`, that is the first one here.
            shape: Extent along (z, y, x), in voxels.
            fill: What lies beyond the sections.
        """
        if len(table) != source.shape[0]:
            raise VolumeError(
                f"{source.info.location} has {source.shape[0]} sections, the table of shifts {len(table)}"
            )
        old = source.info
        step = old.spacing_nm or (1.0, 1.0, 1.0)
        z, y, x = (o + a * s for o, a, s in zip(old.offset_nm, origin, step, strict=True))
        self.info = VolumeInfo(old.location, 1, shape, old.dtype, old.spacing_nm, (z, y, x), old.layout)
        self.stack = Stack(source)
        self._table, self._origin, self._fill = table, origin, fill

    def _read(self, box: Box) -> npt.NDArray:
        voxels = np.full(box.shape, self._fill, self.info.dtype)
        for place, z in enumerate(range(box.start[0], box.stop[0])):
            at = z + self._origin[0]
            if 0 <= at < len(self._table):
                y, x = (a + o + int(s) for a, o, s in
                        zip(box.start[1:], self._origin[1:], self._table.shifts[at], strict=True))  # fmt: skip
                copy_window(self.stack.section(int(self._table.shown[at])), (y, x), voxels[place])
        return voxels


def copy_window(section: npt.NDArray, corner: tuple[int, int], into: npt.NDArray) -> None:
    """Copy the window of a section (Y, X) that begins at `corner`; what lies beyond the section is left as it was."""
    cut, put = [], []
    for start, extent, wanted in zip(corner, section.shape, into.shape, strict=True):
        low, high = max(start, 0), min(start + wanted, extent)
        cut.append(slice(low, max(low, high)))
        put.append(slice(low - start, max(low, high) - start))
    into[tuple(put)] = section[tuple(cut)]
