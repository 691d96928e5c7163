"""What is stored beside the voxels of a file that this package wrote."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import zarr

from connectomics.errors import VolumeError


def read_attributes(path: Path) -> dict[str, Any]:
    """Return the attributes of dataset `main` of an HDF5 file or a Zarr store.

    Raises:
        VolumeError: If there is no such file or dataset.
    """
    try:
        if path.is_dir():
            return dict(zarr.open_group(str(path), mode="r")["main"].attrs)
        with h5py.File(path, "r") as file:
            return dict(file["main"].attrs)
    except (OSError, KeyError, ValueError) as error:
        raise VolumeError(f"{path} has no readable dataset `main`: {error}") from error
