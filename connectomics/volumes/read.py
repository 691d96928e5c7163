"""Open any volume in one way, whatever format it is in."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from connectomics.errors import VolumeError
from connectomics.files import is_url, user_path
from connectomics.geometry import Spacing
from connectomics.lookup import suggest
from connectomics.volumes.arrays import NpySource, NpzSource
from connectomics.volumes.damage import require_regular
from connectomics.volumes.formats import is_n5, is_precomputed, refuse_other_formats, stem_of, suffix_of
from connectomics.volumes.hdf5 import HDF5Source
from connectomics.volumes.mrc import MRCSource
from connectomics.volumes.nifti import NiftiSource
from connectomics.volumes.raster import RASTERS
from connectomics.volumes.section_files import find_sections, is_pattern, kind_of
from connectomics.volumes.section_stack import SECTIONS, SectionStack
from connectomics.volumes.source import Role, VolumeInfo, VolumeSource
from connectomics.volumes.tensor_store import TensorStoreSource
from connectomics.volumes.tiff import TIFFSource
from connectomics.volumes.units import require_plausible
from connectomics.volumes.zarr_store import ZarrSource

READERS: Mapping[str, Callable[[Path, str | None, Role], VolumeSource]] = {
    ".h5": HDF5Source,
    ".hdf5": HDF5Source,
    ".hdf": HDF5Source,
    ".zarr": ZarrSource,
    ".n5": TensorStoreSource,
    ".precomputed": TensorStoreSource,
    ".tif": TIFFSource,
    ".tiff": TIFFSource,
    ".npy": NpySource,
    ".npz": NpzSource,
    ".nii": NiftiSource,
    ".nii.gz": NiftiSource,
    ".mrc": MRCSource,
    ".map": MRCSource,
    ".rec": MRCSource,
    **dict.fromkeys(RASTERS, SectionStack),
}
"""Suffix of a file to its reader. A folder is what it says itself, a Zarr store by its name, otherwise a stack of
sections; so is a pattern of names. What a URL names is read by tensorstore."""

CONTAINERS = tuple(
    suffix for suffix, reader in READERS.items() if reader in (HDF5Source, ZarrSource, NpzSource, TensorStoreSource)
)
"""Suffixes of formats that hold datasets."""

ZARR_NOTES = ("zarr.json", ".zgroup", ".zarray")
"""Files that mark a folder as a Zarr store."""


@dataclass(frozen=True, slots=True)
class Volume:
    """All voxels of a volume, in memory."""

    voxels: npt.NDArray
    """Voxels (C, Z, Y, X), in the type they are stored in."""
    info: VolumeInfo


def open_volume(location: str, role: Role = "image", spacing_nm: Spacing | None = None) -> VolumeSource:
    """Open a volume for reading by boxes; no voxel is read yet.

    Args:
        location: A file, or `file:/dataset` inside it, or a folder or pattern of sections, or the URL (`s3://`, `gs://`,
            `https://`) of an OME-Zarr, N5 or precomputed volume.
        role: What the volume is used as; decides which dataset is meant when none is named.
        spacing_nm: Voxel size along (z, y, x) that the settings state; None takes what the file says.

    Raises:
        VolumeError: If it is missing, of unknown format or unreadable, or its voxel size is not the stated one.
    """
    path, dataset = split_location(location)
    if is_url(location):
        source: VolumeSource = TensorStoreSource(location.removesuffix(f":{dataset}"), dataset, role)
    else:
        source = _open_path(path, dataset, role, location)
    if spacing_nm is not None:
        require_plausible(spacing_nm, f"for {location} the settings give")
    source.info = replace(source.info, spacing_nm=_agreed(source.info, spacing_nm))
    return source


def _open_path(path: Path, dataset: str | None, role: Role, location: str) -> VolumeSource:
    _refuse_path_inside(path, location)
    if not is_pattern(path):
        if not path.exists():
            raise VolumeError(f"{path} does not exist{_near(path)}")
        require_regular(path)
        refuse_other_formats(path)
    return _reader_of(path)(path, dataset, role)


def read_volume(location: str, role: Role = "image", spacing_nm: Spacing | None = None) -> Volume:
    """Read a whole volume into memory; arguments and errors are those of `open_volume`."""
    source = open_volume(location, role, spacing_nm)
    return Volume(source.read_all(), source.info)


def name_of(location: str) -> str:
    """Return what a volume is called: its file without the suffix, or the folder of sections that a pattern names."""
    path, _ = split_location(location)
    return path.absolute().parent.name if is_pattern(path) else stem_of(path)


def is_there(location: str) -> bool:
    """Return whether there is anything that a location names; a broken link is there."""
    path, _ = split_location(location)
    return is_url(location) or os.path.lexists(path) or (is_pattern(path) and any(path.parent.glob(path.name)))


def split_location(location: str) -> tuple[Path, str | None]:
    """Split `file.h5:/volumes/raw` into the file and the dataset; without a colon the dataset is None.

    A `~` in front is the home folder. Of a URL the path is good for names only.
    """
    if is_url(location):
        scheme, _, rest = location.partition("://")
        file, colon, dataset = rest.rpartition(":/")
        return Path(f"{scheme}://{file if colon else rest}"), f"/{dataset}" if colon else None
    file, colon, dataset = location.rpartition(":")
    if colon and suffix_of(Path(file)) in READERS:
        return user_path(file), dataset
    return user_path(location), None


def _reader_of(path: Path) -> Callable[[Path, str | None, Role], VolumeSource]:
    suffix = suffix_of(path)
    if is_pattern(path):
        return _open_sections
    if path.is_dir():
        if READERS.get(suffix) is TensorStoreSource or is_precomputed(path) or is_n5(path):
            return TensorStoreSource
        is_zarr = READERS.get(suffix) is ZarrSource or any((path / note).exists() for note in ZARR_NOTES)
        return ZarrSource if is_zarr else _open_sections
    if suffix not in READERS:
        raise VolumeError(f"{path}: unknown format {path.suffix!r}; a volume is one of {', '.join(READERS)}")
    return READERS[suffix]


def _open_sections(path: Path, dataset: str | None, role: Role) -> VolumeSource:
    """Open a folder or pattern; one that holds a single TIFF is that TIFF, which may have many pages."""
    files = find_sections(path, tuple(SECTIONS))
    return (TIFFSource if len(files) == 1 and kind_of(files[0]) == ".tif" else SectionStack)(
        files[0] if len(files) == 1 else path, dataset, role
    )


def _agreed(info: VolumeInfo, stated: Spacing | None) -> Spacing | None:
    """Return the voxel size of a volume, from the file or the settings, which must not differ."""
    if info.spacing_nm is None or stated is None:
        return stated or info.spacing_nm
    if not np.allclose(info.spacing_nm, stated, rtol=1e-6, atol=0):
        raise VolumeError(
            f"{info.location} has voxels of {info.spacing_nm} nm (z, y, x), the settings say {tuple(stated)}; "
            "correct `resolution`, or set it to null to take the file's"
        )
    return info.spacing_nm


def _refuse_path_inside(path: Path, location: str) -> None:
    """Refuse a path that continues inside a container, and say how that is written."""
    if path.is_file() or (suffix_of(path) in READERS and path.exists()):
        return
    for container in path.parents:
        if suffix_of(container) in CONTAINERS and container.exists():
            inside = path.relative_to(container).as_posix()
            raise VolumeError(f"{location}: a dataset is named after a colon: {container}:/{inside}")


def _near(path: Path) -> str:
    folder = path.parent
    if not folder.is_dir():
        return f" (nor does the folder {folder})"
    return suggest(path.name, [entry.name for entry in folder.iterdir()])
