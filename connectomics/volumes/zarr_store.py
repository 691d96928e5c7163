"""Volumes in Zarr stores, format 2 and 3."""

from __future__ import annotations

from pathlib import Path
from typing import final

import numpy as np
import numpy.typing as npt
import zarr

from connectomics.errors import VolumeError
from connectomics.geometry import Box
from connectomics.volumes.dataset import choose_dataset, describe
from connectomics.volumes.source import Role, VolumeSource


@final
class ZarrSource(VolumeSource):
    """One array of a Zarr store; the store may itself be the array."""

    def __init__(self, path: Path, dataset: str | None, role: Role) -> None:
        try:
            node = zarr.open(str(path), mode="r")
        except (OSError, ValueError, KeyError) as error:
            raise VolumeError(f"{path} cannot be opened as a Zarr store: {error}") from error
        name = ""
        if isinstance(node, zarr.Group):
            arrays = [key for key, member in node.members(max_depth=None) if isinstance(member, zarr.Array)]
            name = choose_dataset(path, dataset, arrays, role)
            node = node[name]
        elif dataset is not None:
            raise VolumeError(f"{path} is itself an array; it has no dataset {dataset!r}")
        if not isinstance(node, zarr.Array):
            raise VolumeError(f"{path}: {name} is no array")
        self._array = node
        self.info = describe(path, name, node.shape, np.dtype(node.dtype), dict(node.attrs))

    def _read(self, box: Box) -> npt.NDArray:
        return np.asarray(self._array[(..., *box.slices)])
