"""Volumes as NIfTI, plain or compressed: `.nii` and `.nii.gz`."""

from __future__ import annotations

import gzip
import importlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, final

import numpy as np
import numpy.typing as npt

from connectomics.errors import VolumeError
from connectomics.geometry import Box, Spacing
from connectomics.volumes.axes import stated_axes
from connectomics.volumes.damage import DAMAGE, describe_error
from connectomics.volumes.dataset import describe
from connectomics.volumes.mapped import MappedVoxels
from connectomics.volumes.source import Role, VolumeSource
from connectomics.volumes.stated import Stated
from connectomics.volumes.units import LARGEST_NM, as_spacing
from connectomics.volumes.unpacked import UnpackedVoxels

LETTERS = "xyztc"
"""Axes of a NIfTI as they are stored; the fifth holds several numbers of one voxel."""

UNITS: Mapping[str, float | None] = {"meter": 1e9, "mm": 1e6, "micron": 1e3, "unknown": None}
"""Units of length that a header can state, in nm."""

HEADER_BYTES = 540
"""Length of the header of NIfTI-2, the longer one."""


@final
class NiftiSource(VolumeSource):
    """The array of a NIfTI; values that the header scales are read scaled."""

    def __init__(self, path: Path, dataset: str | None, role: Role) -> None:
        if dataset is not None:
            raise VolumeError(f"{path} is a NIfTI file; it has no dataset {dataset!r}")
        header, fields = _read_fields(path)
        stored, offset, slope, inter = fields
        shape = tuple(int(n) for n in header.get_data_shape())
        if len(shape) > len(LETTERS) or any(n != 1 for n in shape[len(LETTERS) :]):
            raise VolumeError(f"{path} has the shape {shape}; a volume has axes (x, y, z)")
        self._axes = stated_axes(LETTERS[: len(shape)], shape, str(path))
        self._scaling = None if (slope, inter) in ((None, None), (1, 0)) else (slope, inter)
        native = stored.newbyteorder("=")
        dtype = native if self._scaling is None or stored.kind not in "uif" else np.promote_types(native, np.float32)
        stated = _stated(header)
        self.info = describe(str(path), self._axes, dtype, stated, {})
        self._voxels: MappedVoxels | UnpackedVoxels
        if path.suffix.lower() == ".gz":
            unpack = partial(_opened_at, offset)
            self._voxels = UnpackedVoxels(path, unpack, stored, shape, "F", path.stat().st_size)
        else:
            self._voxels = MappedVoxels(path, offset, stored, "F")
            self._voxels.check(shape)

    def _read(self, box: Box) -> npt.NDArray:
        voxels = self._voxels.read(self._axes, box)
        if self._scaling is None:
            return voxels
        slope, inter = (self.info.dtype.type(number) for number in self._scaling)
        return voxels.astype(self.info.dtype) * slope + inter


def _read_fields(path: Path) -> tuple[Any, tuple[np.dtype, int, float | None, float | None]]:
    """Return the header of a NIfTI, and what of it says where its voxels lie and what they are.

    Raises:
        VolumeError: If it is damaged, no NIfTI, or nibabel is not installed.
    """
    try:
        nibabel = importlib.import_module("nibabel")
    except ImportError as error:
        raise VolumeError(f"{path} is a NIfTI file, which needs nibabel; pip install nibabel") from error
    faults = (nibabel.spatialimages.HeaderDataError, nibabel.wrapstruct.WrapStructError, *DAMAGE)
    try:
        with gzip.open(path) if path.suffix.lower() == ".gz" else path.open("rb") as file:
            start = file.read(HEADER_BYTES)
        for kind in (nibabel.Nifti1Header, nibabel.Nifti2Header):
            if kind.may_contain_header(start):
                header = kind(start[: kind.template_dtype.itemsize], check=False)
                break
        else:
            raise ValueError("it does not begin as a NIfTI does")
        slope, inter = header.get_slope_inter()
        offset = int(header.get_data_offset())
        if offset < kind.template_dtype.itemsize:
            raise ValueError(f"its voxels would begin at byte {offset}, inside its header")
        return header, (np.dtype(header.get_data_dtype()), offset, slope, inter)
    except faults as error:
        raise VolumeError(f"{path} cannot be read as NIfTI: {describe_error(error)}") from error


def _stated(header: Any) -> Stated:
    """Return the voxel size and place that a header states, as far as they can be those of micrographs."""
    unit = header.get_xyzt_units()[0] if int(header["xyzt_units"]) & 7 in (0, 1, 2, 3) else "unknown"
    sizes = [float(size) for size in header["pixdim"][1:4][::-1]]
    factor = UNITS.get(unit)
    if factor is None:
        said = f"its voxel size {_written(sizes)} has no unit and is not used"
        return Stated(notes=() if set(sizes) <= {0.0, 1.0} else (said,))
    spacing = as_spacing([_short(size) * factor for size in sizes])
    if not all(0 < size < LARGEST_NM for size in spacing):
        return Stated(notes=(f"its header says voxels of {_written(sizes)} {unit}, as programs do by default, which is "
                             "not used",))  # fmt: skip
    if int(header["sform_code"]) <= 0 and int(header["qform_code"]) <= 0:
        return Stated(spacing)
    affine = np.asarray(header.get_best_affine(), np.float64)
    turned = affine[:3, :3]
    if (
        not np.allclose(turned, np.diag(np.diag(turned)), atol=1e-3 * np.abs(turned).max())
        or np.diag(turned).min() <= 0
    ):
        return Stated(spacing, None, ("its header turns or flips axes; voxels are taken in the order in which they are "
                                      "stored, and its origin is not used",))  # fmt: skip
    return Stated(spacing, _offset(affine[2::-1, 3] * factor))


def _offset(lengths: npt.NDArray) -> Spacing | None:
    return as_spacing(lengths.tolist()) if np.isfinite(lengths).all() else None


def _short(size: float) -> float:
    """Return the number that is meant where a header holds its nearest float32: 4.6, not 4.599999904632568."""
    return float(str(np.float32(size)))


def _written(sizes: list[float]) -> str:
    return " x ".join(f"{size:g}" for size in sizes)


@contextmanager
def _opened_at(offset: int, path: Path) -> Iterator[gzip.GzipFile]:
    with gzip.open(path) as stream:
        stream.seek(offset)
        yield stream
