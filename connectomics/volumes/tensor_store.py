"""N5 and Neuroglancer's precomputed, and with OME-Zarr anything by URL, read by tensorstore."""

from __future__ import annotations

import importlib
import json
import os
from collections.abc import Callable
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any, final

import numpy as np
import numpy.typing as npt

from connectomics.errors import VolumeError
from connectomics.files import is_url
from connectomics.geometry import Box
from connectomics.volumes.axes import stated_axes, usual_axes
from connectomics.volumes.dataset import describe
from connectomics.volumes.source import Role, VolumeSource
from connectomics.volumes.tensor_kinds import find_kind

RETRIES = {"max_retries": 5, "initial_delay": "500ms", "max_delay": "8s"}
"""How often a request that failed is sent again: for about twenty seconds."""

LONGEST_S = 600.0
"""How long a box may take to arrive."""

CACHE_BYTES = 2**28
"""Chunks that are kept unpacked, as neighbouring boxes need them again."""


@final
class TensorStoreSource(VolumeSource):
    """One array, on this machine or another; a chunk that is not there is an error, and never read as zeros."""

    def __init__(self, place: Path | str, dataset: str | None, role: Role) -> None:
        where = str(place) if isinstance(place, str) else f"file://{place.absolute()}"
        inside = (dataset or "").strip("/")
        self._root = f"{where.rstrip('/')}/{inside}/" if inside else f"{where.rstrip('/')}/"
        location = f"{place}:/{inside}" if inside else str(place)
        notes: dict[str, bytes] = {}
        kind = find_kind(self._reader(location, notes), location)
        self._spec = {"driver": kind.driver, "kvstore": f"{self._root}{kind.inner}/" if kind.inner else self._root}
        array = self._open(location)
        shape = tuple(int(n) for n in array.shape)
        letters = kind.letters if kind.letters is not None and len(kind.letters) == len(shape) else None
        self._axes = usual_axes(shape, location) if letters is None else stated_axes(letters, shape, location)
        stated, dtype = kind.stated(self._axes), np.dtype(array.dtype.numpy_dtype)
        self.info = describe(location, self._axes, dtype, stated, {}, notes=[kind.note] if kind.note else [])
        digest = sha256(b"".join(name.encode() + content for name, content in sorted(notes.items())))
        chunk = self._axes.extent(array.chunk_layout.read_chunk.shape)
        self.info = replace(self.info, state=digest.hexdigest(), chunk=chunk)
        self._opened: tuple[int, Any] = os.getpid(), array

    def _reader(self, location: str, notes: dict[str, bytes]) -> Callable[[str], dict[str, Any] | None]:
        """Return what reads a JSON file below the place, and remembers its bytes in `notes`."""
        library = _tensorstore(location)
        store = _told(lambda: library.KvStore.open(self._root, context=_context(library)), location)

        def read(name: str) -> dict[str, Any] | None:
            found = _told(lambda: store.read(name), location)
            if found.state != "value":
                return None
            notes[name] = bytes(found.value) + bytes(found.stamp.generation)
            try:
                content = json.loads(found.value)
            except ValueError as error:
                raise VolumeError(f"{location}: its {name} is damaged: {error}") from error
            return content if isinstance(content, dict) else None

        return read

    def _open(self, location: str) -> Any:
        library = _tensorstore(location)
        spec = {**self._spec, "fill_missing_data_reads": False, "recheck_cached_data": "open"}
        array = _told(lambda: library.open(spec, read=True, context=_context(library)), location)
        return array[library.d[:].translate_to[0]]

    def _read(self, box: Box) -> npt.NDArray:
        if self._opened[0] != os.getpid():
            raise OSError(
                "tensorstore does not work in a process that was forked; copy the volume to this machine as Zarr or "
                "HDF5, or set system.num_workers=0"
            )
        part = self._opened[1][self._axes.index(box)]
        return self._axes.arrange(_told(lambda: part.read(), self.info.location))

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_opened": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._opened = os.getpid(), self._open(self.info.location)


def _tensorstore(location: str) -> Any:
    try:
        return importlib.import_module("tensorstore")
    except ImportError as error:
        raise VolumeError(f"{location} is read by tensorstore; pip install 'connectomics-synapses[cloud]'") from error


def _context(library: Any) -> Any:
    return library.Context(
        {f"{kind}_request_retries": RETRIES for kind in ("http", "s3", "gcs")}
        | {"cache_pool": {"total_bytes_limit": CACHE_BYTES}}
    )


def _told(begin: Callable[[], Any], location: str) -> Any:
    """Wait for what tensorstore does, and turn its errors, whose details fill a screen, into one line.

    Raises:
        VolumeError: With what it said.
    """
    try:
        return begin().result(timeout=LONGEST_S)
    except TimeoutError as error:
        raise VolumeError(f"{location} did not answer within {LONGEST_S:.0f} s") from error
    except (ValueError, RuntimeError, OSError, NotImplementedError, KeyError) as error:
        reason = str(error).partition(" [")[0].removesuffix(".")
        hint = "" if not is_url(location) else "; is the address right, and the network up?"
        raise VolumeError(f"{location} cannot be read: {reason}{hint}") from error
