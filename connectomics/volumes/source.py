"""A volume on disk or in memory, read by boxes."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, final

import numpy as np
import numpy.typing as npt

from connectomics.errors import VolumeError
from connectomics.geometry import ZYX, Box, Spacing
from connectomics.volumes.damage import DAMAGE, describe_error

Role = Literal["image", "label", "mask"]
Layout = Literal["main", "cremi"]


@dataclass(frozen=True, slots=True)
class VolumeInfo:
    """What is known of a volume before any voxel is read."""

    location: str
    """File and dataset, as a person would name them."""
    channels: int
    shape: ZYX
    dtype: np.dtype
    spacing_nm: Spacing | None
    """Voxel size along (z, y, x), in nm; None if the file does not state it."""
    offset_nm: Spacing = (0.0, 0.0, 0.0)
    """Position of the first voxel along (z, y, x), in nm."""
    layout: Layout = "main"
    """How label ids are meant: the background is 0xffffffffffffffff in "cremi", and 0 in "main"."""
    notes: tuple[str, ...] = ()
    """What the reader guessed or left out and a person should know, one sentence each."""
    files: tuple[Path, ...] = ()
    """Further files that hold voxels, through links or as parts of a virtual dataset."""
    attributes: Mapping[str, Any] = field(default_factory=dict, compare=False)
    """Attributes of the dataset that was opened."""
    chunk: ZYX | None = field(default=None, compare=False)
    """Extent of what is stored and unpacked at a time, along (z, y, x), in voxels; None where that is not known."""
    state: str = field(default="", compare=False)
    """For what is no file of this machine: a word that changes with its description."""


class VolumeSource(ABC):
    """Voxels that are read by boxes, lazily; safe to hand to worker processes."""

    info: VolumeInfo

    @property
    def shape(self) -> ZYX:
        """Extent along (z, y, x), in voxels."""
        return self.info.shape

    def read(self, box: Box) -> npt.NDArray:
        """Return the voxels of `box`, (C, Z, Y, X), in the type they are stored in.

        Raises:
            VolumeError: If the box reaches outside, or the file cannot be read there.
        """
        if not box.lies_within(self.shape):
            raise VolumeError(f"{self.info.location} has shape {self.shape}; {box} reaches outside")
        try:
            voxels = self._read(box)
        except DAMAGE as error:
            reason = describe_error(error)
            raise VolumeError(f"{self.info.location} cannot be read at {box.start} to {box.stop}: {reason}") from error
        return voxels if voxels.ndim == 4 else voxels[np.newaxis]

    def read_all(self) -> npt.NDArray:
        """Return every voxel, (C, Z, Y, X)."""
        return self.read(Box.whole(self.shape))

    @abstractmethod
    def _read(self, box: Box) -> npt.NDArray:
        """Return the voxels of a box that lies within the volume, (Z, Y, X) or (C, Z, Y, X)."""


@final
class ArraySource(VolumeSource):
    """Voxels that are already in memory."""

    def __init__(self, voxels: npt.NDArray, info: VolumeInfo) -> None:
        if voxels.shape != (info.channels, *info.shape):
            raise VolumeError(f"{info.location}: voxels of shape {voxels.shape} are not {info.channels, *info.shape}")
        self.voxels = voxels  # (C, Z, Y, X)
        self.info = info

    @classmethod
    def of(cls, voxels: npt.NDArray, spacing_nm: Spacing | None = None, location: str = "array") -> ArraySource:
        """Wrap an array (Z, Y, X) or (C, Z, Y, X)."""
        whole = voxels if voxels.ndim == 4 else voxels[np.newaxis]
        channels, z, y, x = whole.shape
        return cls(whole, VolumeInfo(location, channels, (z, y, x), whole.dtype, spacing_nm))

    def _read(self, box: Box) -> npt.NDArray:
        return self.voxels[(slice(None), *box.slices)]


@final
class CroppedSource(VolumeSource):
    """A box of another source, as a volume of its own."""

    def __init__(self, source: VolumeSource, box: Box) -> None:
        if not box.lies_within(source.shape):
            raise VolumeError(f"{source.info.location} has shape {source.shape}; the crop {box} reaches outside")
        spacing = source.info.spacing_nm or (1.0, 1.0, 1.0)
        z, y, x = (o + a * s for o, a, s in zip(source.info.offset_nm, box.start, spacing, strict=True))
        old = source.info
        self.info = replace(old, shape=box.shape, offset_nm=(z, y, x))
        self._source, self._start = source, box.start

    def _read(self, box: Box) -> npt.NDArray:
        z, y, x = (a + b for a, b in zip(self._start, box.start, strict=True))
        return self._source.read(Box.at((z, y, x), box.shape))


@final
class HeldSource(VolumeSource):
    """Another source, a box of which is held in memory; what reaches beyond the box is read from the source."""

    def __init__(self, source: VolumeSource, box: Box) -> None:
        self.info = source.info
        self._source, self._box, self._held = source, box, source.read(box)

    def _read(self, box: Box) -> npt.NDArray:
        inside = _moved(box, self._box.start)
        if not inside.lies_within(self._box.shape):
            return self._source.read(box)
        return self._held[(slice(None), *inside.slices)]


@final
class PlacedSource(VolumeSource):
    """Another source put at a position of a larger grid; `fill` is read where it has no voxels."""

    def __init__(self, source: VolumeSource, shape: ZYX, at: ZYX, fill: int) -> None:
        if not Box.at(at, source.shape).lies_within(shape):
            raise VolumeError(
                f"{source.info.location}: its box of {source.shape} voxels at voxel {at} reaches outside the image"
                f" of {shape}; check the attribute `offset` of both"
            )
        old = source.info
        self.info = replace(old, shape=shape, offset_nm=(0.0, 0.0, 0.0))
        self._source, self._at, self._fill = source, at, fill

    def _read(self, box: Box) -> npt.NDArray:
        voxels = np.full((self.info.channels, *box.shape), self._fill, self.info.dtype)
        stop = tuple(a + n for a, n in zip(self._at, self._source.shape, strict=True))
        first = [max(a, b) for a, b in zip(self._at, box.start, strict=True)]
        last = [min(a, b) for a, b in zip(stop, box.stop, strict=True)]
        if all(a < b for a, b in zip(first, last, strict=True)):
            shared = Box((first[0], first[1], first[2]), (last[0], last[1], last[2]))
            inner = self._source.read(_moved(shared, self._at))
            voxels[(slice(None), *_moved(shared, box.start).slices)] = inner
        return voxels


def _moved(box: Box, origin: ZYX) -> Box:
    """Return the same voxels counted from `origin`."""
    z, y, x = (a - o for a, o in zip(box.start, origin, strict=True))
    return Box.at((z, y, x), box.shape)
