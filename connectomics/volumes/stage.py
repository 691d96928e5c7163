"""A volume that survives a kill: finished sections wait in a folder until all are there, then they become the file."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self, final

import h5py
import numpy as np
import numpy.typing as npt
import zarr

from connectomics.errors import VolumeError
from connectomics.geometry import ZYX, Box
from connectomics.volumes.chunks import CHUNK
from connectomics.volumes.read import open_volume
from connectomics.volumes.write import VolumeWriter, remove_path

Fingerprint = Mapping[str, str]
"""What a prediction depends on, by name: "weights", "settings", "image", "code", ..."""

ATTRIBUTE = "fingerprint"
"""Of the finished dataset; holds the fingerprint as JSON."""


@final
class StagedVolume:
    """A file in the making. A process that is killed, at any moment, leaves what it had finished to the next one.

    Each piece (some sections) is written under a temporary name, flushed and renamed, so a piece is whole or not there.
    Pieces with another fingerprint are dropped. Leaving the context makes the file and removes the pieces; leaving it
    by an exception keeps them.
    """

    def __init__(
        self,
        path: Path,
        channels: int,
        shape: ZYX,
        dtype: npt.DTypeLike,
        attributes: Mapping[str, Any],
        fingerprint: Fingerprint,
    ) -> None:
        """Prepare to make `path`; the arguments are those of `VolumeWriter`, and what the content depends on."""
        self._path, self._folder = path, path.with_name(f".{path.name}.stage")
        self._channels, self._shape, self._dtype = channels, shape, np.dtype(dtype)
        self._attributes = attributes
        self._fingerprint = {**fingerprint, "layout": f"{channels, *shape} {self._dtype}"}
        self.next_section = 0
        """What is before it need not be computed again."""
        self.is_finished = False
        """Whether the file itself is there, whole, with the same fingerprint."""
        self.changed: tuple[str, ...] = ()
        """Names in which the pieces that were found, and dropped, differ from this fingerprint."""

    def __enter__(self) -> Self:
        if _fingerprint_of(self._path) == self._fingerprint:
            self.is_finished, self.next_section = True, self._shape[0]
            remove_path(self._folder)
            return self
        try:
            self._take_over_or_begin()
        except OSError as error:
            raise VolumeError(f"{self._folder} cannot be written: {error}") from error
        self.next_section = sum(piece.shape[1] for piece in self._pieces())
        return self

    def sections(self) -> Iterator[tuple[int, npt.NDArray]]:
        """Yield the sections that are there already, (C, n, Y, X) in the type they are saved in, with their number."""
        z = 0
        for piece in self._layers_of_file() if self.is_finished else self._pieces():
            yield z, np.asarray(piece)
            z += piece.shape[1]

    def write(self, z: int, sections: npt.NDArray) -> None:
        """Keep sections (C, n, Y, X) that begin at `z`, which is `next_section`.

        Raises:
            VolumeError: If the disk does not take them.
        """
        if z != self.next_section:
            raise ValueError(f"section {z} was given to {self._path}, {self.next_section} comes next")
        target = self._piece(z)
        partial = target.with_suffix(".partial")
        try:
            with partial.open("wb") as file:
                np.save(file, np.ascontiguousarray(sections, self._dtype), allow_pickle=False)
                file.flush()
                os.fsync(file.fileno())
            os.replace(partial, target)
        except OSError as error:
            raise VolumeError(
                f"{self._path} cannot be written at section {z}: {error}; what is finished is kept, "
                "and the same command goes on from there"
            ) from error
        self.next_section += sections.shape[1]

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if error is not None or self.is_finished:
            return
        attributes = {**self._attributes, ATTRIBUTE: json.dumps(self._fingerprint, sort_keys=True)}
        with VolumeWriter(self._path, self._channels, self._shape, self._dtype, attributes) as writer:
            for z, sections in self.sections():
                writer.write(z, sections)
        remove_path(self._folder)

    def _piece(self, z: int) -> Path:
        return self._folder / f"{z:08d}.npy"

    def _pieces(self) -> Iterator[npt.NDArray]:
        """Yield the pieces without a gap from section 0 on, mapped from the disk."""
        z = 0
        while z < self._shape[0] and self._piece(z).is_file():
            try:
                piece = np.load(self._piece(z), mmap_mode="r", allow_pickle=False)
            except (OSError, ValueError):  # torn by a power failure; all that follows is computed again
                return
            yield piece
            z += piece.shape[1]

    def _layers_of_file(self) -> Iterator[npt.NDArray]:
        """Yield the sections of the finished file."""
        depth, (_, y, x) = self._shape[0], self._shape
        source = open_volume(str(self._path))
        for z in range(0, depth, CHUNK[0]):
            yield source.read(Box((z, 0, 0), (min(depth, z + CHUNK[0]), y, x)))

    def _take_over_or_begin(self) -> None:
        note = self._folder / "fingerprint.json"
        wanted, found = self._fingerprint, _read_note(note)
        if found == wanted:
            return
        if found is not None:
            self.changed = tuple(name for name in {**wanted, **found} if wanted.get(name) != found.get(name))
        remove_path(self._folder)
        self._folder.mkdir(parents=True)
        partial = note.with_suffix(".partial")
        partial.write_text(json.dumps(wanted, indent=2, sort_keys=True) + "\n", encoding="utf-8")
        os.replace(partial, note)


def _read_note(note: Path) -> dict[str, str] | None:
    """Return the fingerprint of the pieces in a folder; None where there is none."""
    try:
        return json.loads(note.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def _fingerprint_of(path: Path) -> dict[str, str] | None:
    """Return the fingerprint of a finished file; None where there is no such file, or it states none."""
    try:
        if path.is_dir():
            attributes = dict(zarr.open_group(str(path), mode="r")["main"].attrs)
        else:
            with h5py.File(path, "r") as file:
                attributes = dict(file["main"].attrs)
        return json.loads(attributes[ATTRIBUTE])
    except (OSError, KeyError, ValueError):
        return None
