"""Attributes of a file that this package wrote."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import zarr

from connectomics.errors import VolumeError
from connectomics.volumes.damage import DAMAGE, require_regular
from connectomics.volumes.links import follow, open_file
from connectomics.volumes.multiscale import read_levels
from connectomics.volumes.zarr_store import RegularFiles


def read_attributes(path: Path) -> dict[str, Any]:
    """Return the attributes of dataset `main` of an HDF5 file or a Zarr store, or of the finest level of an OME-Zarr.

    Raises:
        VolumeError: If there is no such file or dataset.
    """
    require_regular(path)
    try:
        if path.is_dir():
            group = zarr.open_group(store=RegularFiles(path, read_only=True), mode="r")
            levels = read_levels(dict(group.attrs), str(path))
            return dict(group[levels[0].path if levels else "main"].attrs)
        with open_file(path) as file:
            other, name = follow(path, file, "main", path)
            with open_file(other) as holder:
                return dict(holder[name].attrs)
    except DAMAGE as error:
        raise VolumeError(f"{path} has no readable dataset `main`: {error}") from error
