"""Arrays that NumPy saved: `.npy`, mapped from the disk, and `.npz`, by name."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import IO, Literal, final

import numpy as np
import numpy.typing as npt

from connectomics.errors import VolumeError
from connectomics.geometry import Box
from connectomics.volumes.axes import usual_axes
from connectomics.volumes.damage import told_as_damage
from connectomics.volumes.dataset import choose_dataset, describe, locate
from connectomics.volumes.mapped import MappedVoxels
from connectomics.volumes.source import Role, VolumeSource
from connectomics.volumes.stated import Stated
from connectomics.volumes.unpacked import UnpackedVoxels

METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
"""How NumPy packs arrays; other tools know more, which shrink further than can be checked."""


@final
class NpySource(VolumeSource):
    """One array, mapped from the disk."""

    def __init__(self, path: Path, dataset: str | None, role: Role) -> None:
        if dataset is not None:
            raise VolumeError(f"{path} is one array; it has no dataset {dataset!r}")
        with told_as_damage(f"{path} cannot be read as NumPy array"), path.open("rb") as file:
            shape, order, dtype = _read_header(file)
            offset = file.tell()
        self._axes = usual_axes(shape, str(path))
        self.info = describe(str(path), self._axes, dtype.newbyteorder("="), Stated(), {})
        self._voxels = MappedVoxels(path, offset, dtype, order)
        self._voxels.check(shape)

    def _read(self, box: Box) -> npt.NDArray:
        return self._voxels.read(self._axes, box)


@final
class NpzSource(VolumeSource):
    """One array of an archive, kept in memory from the first read on."""

    def __init__(self, path: Path, dataset: str | None, role: Role) -> None:
        with told_as_damage(f"{path} cannot be read as NumPy archive"):
            with zipfile.ZipFile(path) as archive:
                members = {info.filename.removesuffix(".npy"): info for info in archive.infolist()}
            name, guess = choose_dataset(path, dataset, list(members), role)
            member, location = members[name], locate(path, name)
            if member.compress_type not in METHODS or member.flag_bits & 1:
                raise VolumeError(f"{location} is packed in a way that NumPy does not use; save it with numpy.savez")
            with _opened(member.filename, path) as stream:
                shape, order, dtype = _read_header(stream)
        self._axes = usual_axes(shape, location)
        self.info = describe(location, self._axes, dtype.newbyteorder("="), Stated(), {}, notes=[guess])
        self._voxels = UnpackedVoxels(
            path, partial(_opened_behind_header, member.filename), dtype, shape, order, member.compress_size
        )

    def _read(self, box: Box) -> npt.NDArray:
        return self._voxels.read(self._axes, box)


def _read_header(stream: IO[bytes]) -> tuple[tuple[int, ...], Literal["C", "F"], np.dtype]:
    """Return shape, order and type of an array, and leave the stream at its first voxel."""
    version = np.lib.format.read_magic(stream)
    read = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}.get(version)
    if read is None:
        raise ValueError(f"its version {version} of the format is of structured arrays, which are no volumes")
    shape, is_fortran, dtype = read(stream)
    if dtype.hasobject:
        raise ValueError("it holds Python objects, which could run a program when they are read")
    return shape, "F" if is_fortran else "C", dtype


@contextmanager
def _opened(member: str, path: Path) -> Iterator[IO[bytes]]:
    with zipfile.ZipFile(path) as archive, archive.open(member) as stream:
        yield stream


@contextmanager
def _opened_behind_header(member: str, path: Path) -> Iterator[IO[bytes]]:
    with _opened(member, path) as stream:
        _read_header(stream)
        yield stream
