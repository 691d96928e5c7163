"""Volumes in Zarr stores, format 2 and 3, OME-Zarr included."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from dataclasses import replace
from math import ceil, prod
from pathlib import Path
from typing import Any, final

import numpy as np
import numpy.typing as npt
import zarr
from zarr.storage import LocalStore

from connectomics.errors import VolumeError
from connectomics.geometry import Box
from connectomics.volumes.axes import Axes, letters_of, stated_axes, usual_axes
from connectomics.volumes.damage import told_as_damage
from connectomics.volumes.dataset import USUAL_NAMES, choose_dataset, describe, locate
from connectomics.volumes.multiscale import Level, place_level, read_levels
from connectomics.volumes.source import Layout, Role, VolumeSource
from connectomics.volumes.stated import Node, Stated, axis_letters, read_stated
from connectomics.volumes.storage import missing_chunks
from connectomics.volumes.unpacked_size import STATED_SIZES

MOST_CHUNKS = 20_000
"""How many chunks of an array may be counted when it is opened."""

NOTES = ("zarr.json", ".zgroup", ".zarray", ".zattrs", ".zmetadata")
"""Files of a store that are no chunks."""

SIZED_BY = 32
"""How many bytes of a chunk, from its beginning, hold the size that it states."""

SLACK = 2**16
"""How many bytes a chunk may state beyond twice its size; codecs round it up."""

MOST_NODES = 2000
"""How many nodes of a store are visited in search of its arrays."""


class RegularFiles(LocalStore):
    """A store on the disk in which nothing but regular files is opened: a named pipe would wait forever.

    Chunks of the array that is read are looked at before they are unpacked: a damaged one may ask for any memory.
    """

    expected: tuple[str, int] | None = None
    """The codec of the array's chunks, and their size when unpacked, in bytes; None where they are not looked at."""

    async def get(self, key: str, *args: Any, **kwargs: Any) -> Any:
        """Return what is stored under a key.

        Raises:
            VolumeError: If that is no regular file.
        """
        path = self.root / key
        try:
            mode = os.stat(path).st_mode
        except OSError:
            return await super().get(key, *args, **kwargs)
        if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
            raise VolumeError(f"{path} is no regular file; nothing else is opened")
        content = await super().get(key, *args, **kwargs)
        if content is not None and self.expected is not None and path.name not in NOTES:
            codec, size = self.expected
            stated = STATED_SIZES[codec](content[:SIZED_BY].to_bytes())
            if stated > 2 * size + SLACK:
                raise VolumeError(f"{path} is damaged: it states {stated} bytes, a chunk has {size}")
        return content


@final
class ZarrSource(VolumeSource):
    """One array of a Zarr store; the store may itself be the array."""

    def __init__(self, path: Path, dataset: str | None, role: Role) -> None:
        with told_as_damage(f"{path} cannot be opened as a Zarr store"):
            node = zarr.open(store=RegularFiles(path, read_only=True), mode="r")
        with told_as_damage(f"{path} is damaged"):
            name, guess = "", ""
            if isinstance(node, zarr.Group):
                name, guess = _choose(path, node, dataset, role)
            elif dataset is not None and dataset.strip("/"):
                raise VolumeError(f"{path} is itself an array; it has no dataset {dataset!r}")
            array = node[name] if isinstance(node, zarr.Group) else node
            if not isinstance(array, zarr.Array):
                raise VolumeError(f"{path}: {name} is no array")
            self._array = array
            if isinstance(array.store, RegularFiles):
                array.store.expected = _expected_chunk(array)
            self._describe(path, name, node if isinstance(node, zarr.Group) else None, guess)

    def _describe(self, path: Path, name: str, root: zarr.Group | None, guess: str) -> None:
        location, attributes, shape = locate(path, name), dict(self._array.attrs), self._array.shape
        around = [Node("", attributes), *_groups_around(root, name)]
        level = _level_of(around, name, location)
        self._axes = _axes_of(self._array, attributes, level, location)
        stated = read_stated(around, self._axes, location)
        if level is not None:
            ome = place_level(level, self._axes, location)
            notes = (*ome.notes, *(stated.notes if ome.spacing_nm is None else ()))
            stated = Stated(ome.spacing_nm or stated.spacing_nm, ome.offset_nm or stated.offset_nm, notes)
        layout: Layout = "cremi" if name.endswith("labels/clefts") else "main"
        dtype, told = np.dtype(self._array.dtype), [guess, *_count_chunks(self._array)]
        known = describe(location, self._axes, dtype, stated, attributes, layout, told)
        self.info = replace(known, chunk=self._axes.extent(self._array.chunks))
        if min(shape) < 1:
            raise VolumeError(f"{location} has shape {shape}; there is no voxel in it")

    def _read(self, box: Box) -> npt.NDArray:
        return self._axes.arrange(np.asarray(self._array[self._axes.index(box)]))


def _expected_chunk(array: zarr.Array) -> tuple[str, int] | None:
    """Return the codec and the size of the chunks of an array, where one codec alone makes them what they are."""
    codecs = [type(codec).__name__ for codec in array.compressors]
    if len(codecs) != 1 or codecs[0] not in STATED_SIZES or array.filters or array.shards:
        return None
    return codecs[0], prod(array.chunks) * np.dtype(array.dtype).itemsize


def _choose(path: Path, root: zarr.Group, wanted: str | None, role: Role) -> tuple[str, str]:
    """Return the array to read, and what is to be told of the choice."""
    for name in [wanted.strip("/")] if wanted is not None else USUAL_NAMES[role]:
        node = root.get(name) if name else root
        if isinstance(node, zarr.Array):
            return name, ""
        if isinstance(node, zarr.Group):
            levels = read_levels(dict(node.attrs), f"{path}:/{name}")
            if levels:
                return f"{name}/{levels[0].path}".strip("/"), f"level 0 of the OME-Zarr {name or path.name} is taken"
    present, images = _list_arrays(root)
    own = read_levels(dict(root.attrs), str(path))
    labels = [name for name in images if name.startswith("labels/")]
    if own and wanted is None and role != "image" and labels:
        raise VolumeError(f"{path} is an image with labels of its own; name one: '{path}:/{labels[0]}'")
    if not own and len(images) == 1 and len(present) == 1:
        name, level = next(iter(images.items()))
        chosen, guess = choose_dataset(path, wanted, [name], role)
        return f"{chosen}/{level}", f"{guess}, level 0 of it"
    return choose_dataset(path, wanted, present, role, own[0].path if own else None)


def _list_arrays(root: zarr.Group) -> tuple[list[str], dict[str, str]]:
    """Return the arrays of a store, where an OME-Zarr image is one; and those images with their level 0."""
    names: list[str] = []
    images: dict[str, str] = {}
    for name, node in _walk(root, "", [MOST_NODES]):
        if isinstance(node, zarr.Array):
            if not any(name.startswith(f"{image}/") for image in images):
                names.append(name)
            continue
        levels = read_levels(dict(node.attrs), name)
        if levels:
            images[name] = levels[0].path
            names.append(name)
    return names, images


def _walk(group: zarr.Group, prefix: str, left: list[int]) -> Iterator[tuple[str, zarr.Array | zarr.Group]]:
    for key, node in sorted(group.members(max_depth=0), key=lambda member: member[0]):
        left[0] -= 1
        if left[0] < 0 or prefix.count("/") > 16:
            return
        yield f"{prefix}{key}", node
        if isinstance(node, zarr.Group):
            yield from _walk(node, f"{prefix}{key}/", left)


def _groups_around(root: zarr.Group | None, name: str) -> list[Node]:
    """Return the groups that an array lies in, the nearest first."""
    if root is None:
        return []
    parts = name.split("/")[:-1]
    inner = [
        Node(f"group {'/'.join(parts[:n])}", dict(root["/".join(parts[:n])].attrs)) for n in range(len(parts), 0, -1)
    ]
    return [*inner, Node("group /", dict(root.attrs))]


def _level_of(around: list[Node], name: str, location: str) -> Level | None:
    """Return the level of an OME-Zarr image that an array is; None where it is none."""
    parts = name.split("/")
    for depth, group in enumerate(around[1:], start=1):
        below = "/".join(parts[len(parts) - depth :])
        for level in read_levels(group.attributes, location):
            if level.path == below:
                return level
    return None


def _axes_of(array: zarr.Array, attributes: dict[str, Any], level: Level | None, location: str) -> Axes:
    letters = level.letters if level is not None and len(level.letters or "") == array.ndim else None
    if letters is None:
        letters = axis_letters(attributes, array.ndim)
    names = getattr(array.metadata, "dimension_names", None)  # of format 3 only
    if letters is None and names is not None and {"y", "x"} <= set(letters_of(names)):
        letters = letters_of(names)
    return usual_axes(array.shape, location) if letters is None else stated_axes(letters, array.shape, location)


def _count_chunks(array: zarr.Array) -> list[str]:
    """Return a remark about chunks that are not there, where counting them takes no time."""
    stored = array.shards or array.chunks
    total = prod(ceil(n / c) for n, c in zip(array.shape, stored, strict=True))
    if total > MOST_CHUNKS:
        return []
    together = prod(s // c for s, c in zip(stored, array.chunks, strict=True))
    return missing_chunks(array.nchunks_initialized // together, total, array.fill_value)
