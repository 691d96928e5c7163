"""Volumes in HDF5 files, the CREMI challenge's layout included."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, final

import h5py
import numpy as np
import numpy.typing as npt

from connectomics.errors import VolumeError
from connectomics.geometry import Box
from connectomics.volumes.dataset import choose_dataset, describe
from connectomics.volumes.source import Role, VolumeSource


@final
class HDF5Source(VolumeSource):
    """One dataset of an HDF5 file; every process opens the file for itself."""

    def __init__(self, path: Path, dataset: str | None, role: Role) -> None:
        self._path = path
        self._opened: tuple[int, h5py.File] | None = None
        file = self._file()
        self._name = choose_dataset(path, dataset, _list_datasets(file), role)
        node = file[self._name]
        self.info = describe(path, self._name, node.shape, node.dtype, dict(node.attrs))

    def _file(self) -> h5py.File:
        if self._opened is None or self._opened[0] != os.getpid():
            try:
                self._opened = (os.getpid(), h5py.File(self._path, "r"))
            except OSError as error:
                raise VolumeError(
                    f"{self._path} cannot be opened as HDF5; it is truncated or no HDF5 file: {error}"
                ) from error
        return self._opened[1]

    def _read(self, box: Box) -> npt.NDArray:
        return np.asarray(self._file()[self._name][(..., *box.slices)])

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_opened": None}


def _list_datasets(file: h5py.File) -> list[str]:
    names: list[str] = []
    file.visititems(lambda name, node: names.append(name) if isinstance(node, h5py.Dataset) else None)
    return names
