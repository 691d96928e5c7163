"""Volumes as MRC: `.mrc`, `.map`, `.rec`."""

from __future__ import annotations

import importlib
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any, final

import numpy as np
import numpy.typing as npt

from connectomics.errors import VolumeError
from connectomics.geometry import Box
from connectomics.volumes.axes import Axes, stated_axes
from connectomics.volumes.damage import DAMAGE, describe_error
from connectomics.volumes.dataset import describe
from connectomics.volumes.mapped import MappedVoxels
from connectomics.volumes.source import Role, VolumeSource
from connectomics.volumes.stated import Stated
from connectomics.volumes.units import NANOMETRES, as_spacing

HEADER_BYTES = 1024

AXES: Mapping[int, str] = {1: "x", 2: "y", 3: "z"}
"""Numbers by which a header names the axis of columns, rows and sections."""

IMOD_STAMP = 1146047817
"""Mark of IMOD, whose bytes are unsigned unless the first bit of the next number is set."""


@final
class MRCSource(VolumeSource):
    """The array of an MRC file, mapped from the disk."""

    def __init__(self, path: Path, dataset: str | None, role: Role) -> None:
        if dataset is not None:
            raise VolumeError(f"{path} is an MRC file; it has no dataset {dataset!r}")
        header, shape, stored = _read_header(path)
        letters = "".join(AXES.get(int(header[key]), "?") for key in ("maps", "mapr", "mapc"))
        if sorted(letters) != ["x", "y", "z"]:  # not filled in, by old programs
            letters = "zyx"
        self._axes = stated_axes("t" * (len(shape) - 3) + letters, shape, str(path))
        self.info = describe(str(path), self._axes, stored.newbyteorder("="), _stated(header, self._axes), {})
        self._voxels = MappedVoxels(path, HEADER_BYTES + int(header.nsymbt), stored)
        self._voxels.check(shape)

    def _read(self, box: Box) -> npt.NDArray:
        return self._voxels.read(self._axes, box)


def _read_header(path: Path) -> tuple[Any, tuple[int, ...], np.dtype]:
    """Return the header of an MRC file, the shape of its array, and the type of its voxels.

    Raises:
        VolumeError: If it is damaged, no MRC file, or mrcfile is not installed.
    """
    try:
        mrcfile = importlib.import_module("mrcfile")
    except ImportError as error:
        raise VolumeError(f"{path} is an MRC file, which needs mrcfile; pip install mrcfile") from error
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with mrcfile.open(path, "r", permissive=False, header_only=True) as file:
                header = file.header.copy()
        shape = tuple(int(n) for n in mrcfile.utils.data_shape_from_header(header))
        dtype = np.dtype(mrcfile.utils.data_dtype_from_header(header))
    except DAMAGE as error:
        raise VolumeError(f"{path} cannot be read as MRC: {describe_error(error)}") from error
    if min(shape) < 1 or int(header.nsymbt) < 0:
        raise VolumeError(f"{path} is damaged: its header states the shape {shape}")
    return header, shape, np.dtype(np.uint8) if dtype == np.int8 and _has_unsigned_bytes(header) else dtype


def _has_unsigned_bytes(header: Any) -> bool:
    """Return whether IMOD says that bytes count from 0 to 255; for others they count from -128 to 127."""
    stamp, flags = np.frombuffer(
        header.extra2.tobytes()[40:48], np.dtype("<i4").newbyteorder(header.mode.dtype.byteorder)
    )
    return int(stamp) == IMOD_STAMP and not int(flags) & 1


def _stated(header: Any, axes: Axes) -> Stated:
    """Return the voxel size of a header, which is in angstrom."""
    counts = [int(header[key]) for key in ("mz", "my", "mx")]
    lengths = [float(header.cella[axis]) for axis in "zyx"]
    if min(counts) < 1 or not all(0 < length < np.inf for length in lengths):
        return Stated()
    sizes = [float(f"{length / count:.7g}") for length, count in zip(lengths, counts, strict=True)]
    if set(sizes) == {1.0}:
        return Stated(notes=("its header says voxels of 1 angstrom, as programs do by default, which is not used",))
    return Stated(as_spacing([size * NANOMETRES["angstrom"] for size in sizes]))
