"""Open any volume in one way: HDF5, the CREMI layout, Zarr, TIFF."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from connectomics.errors import VolumeError
from connectomics.files import user_path
from connectomics.geometry import Spacing
from connectomics.lookup import suggest
from connectomics.volumes.damage import require_regular
from connectomics.volumes.formats import refuse_other_formats
from connectomics.volumes.hdf5 import HDF5Source
from connectomics.volumes.source import Role, VolumeInfo, VolumeSource
from connectomics.volumes.tiff import TIFFSource
from connectomics.volumes.units import require_plausible
from connectomics.volumes.zarr_store import ZarrSource

READERS: Mapping[str, Callable[[Path, str | None, Role], VolumeSource]] = {
    ".h5": HDF5Source,
    ".hdf5": HDF5Source,
    ".hdf": HDF5Source,
    ".zarr": ZarrSource,
    ".tif": TIFFSource,
    ".tiff": TIFFSource,
}
"""Suffix of a file to its reader. A folder without one of these suffixes is a Zarr store if it says so itself,
otherwise a stack of TIFF sections."""

CONTAINERS = tuple(suffix for suffix in READERS if READERS[suffix] is not TIFFSource)
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
        location: A file, or `file:/dataset` inside it.
        role: What the volume is used as; decides which dataset is meant when none is named.
        spacing_nm: Voxel size along (z, y, x) that the settings state; None takes what the file says.

    Raises:
        VolumeError: If it is missing, of unknown format or unreadable, or its voxel size is not the stated one.
    """
    path, dataset = split_location(location)
    _refuse_path_inside(path, location)
    if not path.exists():
        raise VolumeError(f"{path} does not exist{_near(path)}")
    require_regular(path)
    refuse_other_formats(path)
    suffix = path.suffix.lower()
    if suffix not in READERS and not path.is_dir():
        raise VolumeError(f"{path}: unknown format {path.suffix!r}; a volume is one of {', '.join(READERS)}")
    is_zarr = suffix not in READERS and any((path / note).exists() for note in ZARR_NOTES)
    source = ZarrSource(path, dataset, role) if is_zarr else READERS.get(suffix, TIFFSource)(path, dataset, role)
    if spacing_nm is not None:
        require_plausible(spacing_nm, f"for {path} the settings give")
    source.info = replace(source.info, spacing_nm=_agreed(source.info, spacing_nm))
    return source


def read_volume(location: str, role: Role = "image", spacing_nm: Spacing | None = None) -> Volume:
    """Read a whole volume into memory; arguments and errors are those of `open_volume`."""
    source = open_volume(location, role, spacing_nm)
    return Volume(source.read_all(), source.info)


def split_location(location: str) -> tuple[Path, str | None]:
    """Split `file.h5:/volumes/raw` into the file and the dataset; without a colon the dataset is None.

    A `~` in front is the home folder.
    """
    file, colon, dataset = location.rpartition(":")
    if colon and Path(file).suffix.lower() in READERS:
        return user_path(file), dataset
    return user_path(location), None


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
    if path.is_file() or (path.suffix.lower() in READERS and path.exists()):
        return
    for container in path.parents:
        if container.suffix.lower() in CONTAINERS and container.exists():
            inside = path.relative_to(container).as_posix()
            raise VolumeError(f"{location}: a dataset is named after a colon: {container}:/{inside}")


def _near(path: Path) -> str:
    folder = path.parent
    if not folder.is_dir():
        return f" (nor does the folder {folder})"
    return suggest(path.name, [entry.name for entry in folder.iterdir()])
