"""Volumes in HDF5 files, the CREMI challenge's layout included."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any, final

import h5py
import numpy as np
import numpy.typing as npt

from connectomics.errors import VolumeError
from connectomics.geometry import Box
from connectomics.volumes.axes import Axes, letters_of, stated_axes, usual_axes
from connectomics.volumes.damage import told_as_damage
from connectomics.volumes.dataset import USUAL_NAMES, choose_dataset, describe, locate
from connectomics.volumes.links import follow, is_there, list_datasets, open_file
from connectomics.volumes.source import Layout, Role, VolumeSource
from connectomics.volumes.stated import Node, axis_letters, read_stated
from connectomics.volumes.storage import check_storage, load_filters


@final
class HDF5Source(VolumeSource):
    """One dataset of an HDF5 file; every process opens the file for itself."""

    def __init__(self, path: Path, dataset: str | None, role: Role) -> None:
        with open_file(path) as file, told_as_damage(f"{path} is damaged"):
            name, guess = _choose(path, file, dataset, role)
            self._path, self._name = follow(path, file, name, path)
        self._opened: tuple[int, h5py.File] | None = None
        with told_as_damage(f"{locate(path, name)} is damaged"):
            node = self._file()[self._name]
            if not isinstance(node, h5py.Dataset):
                raise VolumeError(f"{path}: {name} is no dataset")
            self._describe(node, path, name, guess)

    def _describe(self, node: h5py.Dataset, path: Path, name: str, guess: str) -> None:
        location, attributes = locate(path, name), dict(node.attrs)
        if node.shape is None:
            raise VolumeError(f"{location} is empty")
        self._axes = _axes_of(node, attributes, location)
        around = [Node("", attributes)]
        group = node.parent
        while True:
            around.append(Node(f"group {group.name}", dict(group.attrs)))
            if group.name == "/":
                break
            group = group.parent
        stated = read_stated(around, self._axes, location)
        is_cremi = any(one.endswith("labels/clefts") for one in (name, self._name))
        files: set[Path] = set()
        notes = [guess, *check_storage(node, self._path, path, files)]
        layout: Layout = "cremi" if is_cremi else "main"
        others = sorted(files - {path})
        known = describe(location, self._axes, node.dtype, stated, attributes, layout, notes, others)
        self.info = replace(known, chunk=self._axes.extent(node.chunks))

    def _file(self) -> h5py.File:
        if self._opened is None or self._opened[0] != os.getpid():
            file = open_file(self._path)
            if isinstance(file[self._name], h5py.Dataset):
                load_filters(file[self._name], locate(self._path, self._name.strip("/")))
            self._opened = (os.getpid(), file)
        return self._opened[1]

    def _read(self, box: Box) -> npt.NDArray:
        return self._axes.arrange(np.asarray(self._file()[self._name][self._axes.index(box)]))

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_opened": None}


def _choose(path: Path, file: h5py.File, wanted: str | None, role: Role) -> tuple[str, str]:
    """Return the dataset to read, and what is to be told of the choice; the file is searched only where it must be."""
    for name in [wanted.strip("/")] if wanted is not None else USUAL_NAMES[role]:
        if name and is_there(file, name):
            return name, ""
    return choose_dataset(path, wanted, list_datasets(path, file, path), role)


def _axes_of(node: h5py.Dataset, attributes: dict[str, Any], location: str) -> Axes:
    letters = axis_letters(attributes, node.ndim)
    labels = letters_of([dimension.label for dimension in node.dims])
    if letters is None and {"y", "x"} <= set(labels):
        letters = labels
    return usual_axes(node.shape, location) if letters is None else stated_axes(letters, node.shape, location)
