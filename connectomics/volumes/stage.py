"""A volume that survives a kill: finished sections wait in a folder until all are there, then they become the file."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self, final

import numpy as np
import numpy.typing as npt

from connectomics.errors import VolumeError
from connectomics.files import hold, remove_path, why_not_written
from connectomics.geometry import ZYX, Box
from connectomics.volumes.attributes import read_attributes
from connectomics.volumes.chunks import CHUNK
from connectomics.volumes.pieces import Note, Pieces, read_note, write_note
from connectomics.volumes.read import open_volume
from connectomics.volumes.sections import Sections, cut_blocks
from connectomics.volumes.write import VolumeWriter

Fingerprint = Mapping[str, str]
"""What a prediction depends on, by name, such as "weights", "settings", "image" and "code"."""

ATTRIBUTE = "fingerprint"
"""Attribute of the finished dataset that holds the fingerprint as JSON."""

MADE_WITH = "made_with"
"""Attribute of the finished dataset that holds, as JSON, what changes it by rounding at most."""

FOR_EVER_S = float("inf")
"""How long a process waits for another one that begins; that takes a moment."""


@dataclass(frozen=True, slots=True)
class Made:
    """What a file, finished or not, was made from."""

    depends_on: dict[str, str]
    """Fingerprint of what the file was made from."""
    made_with: dict[str, str]


@final
class StagedVolume:
    """A file in the making. A process that is killed, at any moment, leaves what it had finished to the next one.

    Each piece (some sections) is written under a temporary name, flushed and renamed, so a piece is whole or not there.
    Pieces with another fingerprint are refused, unless it is asked to begin anew. Leaving the context makes the file
    and, when that is on the disk, removes the pieces; leaving it by an exception keeps them.
    """

    def __init__(
        self,
        path: Path,
        channels: int,
        shape: ZYX,
        dtype: npt.DTypeLike,
        attributes: Mapping[str, Any],
        fingerprint: Fingerprint,
        block: tuple[int, int] | None = None,
        made_with: Mapping[str, str] | None = None,
        restart: bool = False,
        depth: int | None = None,
    ) -> None:
        """Prepare to make `path`.

        Args:
            path: This and the next four are the arguments of `VolumeWriter`.
            fingerprint: What the content depends on.
            block: Extent along (y, x) of the blocks in which a plane comes that is too large; None is whole planes.
            made_with: What the content depends on by rounding at most, by name; recorded, and compared when going on.
            restart: Whether to drop pieces with another fingerprint, instead of refusing to go on.
            depth: Number of sections of a block; None is all. What was begun in other blocks goes on in those.
        """
        self._path, self._folder = path, path.with_name(f".{path.name}.stage")
        self._channels, self._shape, self._dtype = channels, shape, np.dtype(dtype)
        self._attributes = attributes
        self._fingerprint = {**fingerprint, **layout(channels, shape, self._dtype)}
        self._made_with, self._restart = dict(made_with or {}), restart
        self._block, self._depth = block, depth
        self.pieces = Pieces(self._folder, self._fingerprint, self._dtype)
        """What is there already."""
        self.blocks = cut_blocks(shape, block, depth)
        """The boxes that are made one after the other, or each by a process of its own."""
        self.remaining: list[Box] = []
        """What is still to be written, in this order."""
        self.is_finished = False
        """Whether the file itself is there, whole and with the same fingerprint."""
        self.dropped: tuple[str, ...] = ()
        """Names of the parts of the fingerprint in which pieces that were found, and dropped, differed."""
        self.differs: tuple[str, ...] = ()
        """Names of the circumstances that were others when the prediction was begun; they change it by rounding at
        most."""

    def __enter__(self) -> Self:
        self._begin(together=False)
        if not self.is_finished:
            self.remaining = [rest for _, rest in self.progress() if rest.size]
        return self

    def begin_together(self) -> None:
        """Begin as one of several processes, each of which claims blocks of `pieces`; what others finished stays.

        Raises:
            VolumeError: If pieces with another fingerprint are there, or the disk takes nothing.
            HeldError: If a process still works on pieces that would have to be dropped.
        """
        with hold(self._folder.with_suffix(".lock"), str(self._path), FOR_EVER_S):
            self._begin(together=True)

    def _begin(self, together: bool) -> None:
        finished = read_fingerprint(self._path)
        if finished is not None and finished.depends_on == self._fingerprint:
            self.is_finished, self.differs = True, _differing(finished.made_with, self._made_with)
            if not together:
                remove_path(self._folder)
            return
        try:
            self._take_over_or_begin(together)
        except OSError as error:
            raise VolumeError(f"{self._folder} cannot be written: {why_not_written(error)}") from error

    def look(self) -> None:
        """Learn in which blocks the file is made, and whether it is finished, and change nothing."""
        finished, found = read_fingerprint(self._path), read_note(self._folder)
        self.is_finished = finished is not None and finished.depends_on == self._fingerprint
        if found is not None and found.depends_on == self._fingerprint:
            self.blocks = cut_blocks(self._shape, found.block, found.depth)

    def sections(self) -> Iterator[Sections]:
        """Yield the sections that are there already, in the type they are saved in."""
        if self.is_finished:
            yield from self._layers_of_file()
            return
        for block in self.blocks:
            yield from self.pieces.of(block)

    def progress(self) -> list[tuple[Box, Box]]:
        """Return each block, in order, with what of it is still to be written."""
        return [(block, self.pieces.rest(block)) for block in self.blocks]

    def write(self, sections: Sections) -> None:
        """Keep sections; they are the first of what remains.

        Raises:
            VolumeError: If the disk does not take them.
        """
        first, given = self.remaining[0], sections.box
        if given.start != first.start or given.stop[1:] != first.stop[1:] or given.stop[0] > first.stop[0]:
            raise ValueError(f"{given} was given to {self._path}, {first} comes next")
        self.pieces.write(sections)
        rest = Box((given.stop[0], *first.start[1:]), first.stop)
        self.remaining[:1] = [rest] if rest.size else []

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if error is not None or self.is_finished:
            return
        attributes = {
            **self._attributes,
            ATTRIBUTE: json.dumps(self._fingerprint, sort_keys=True),
            MADE_WITH: json.dumps(self._made_with, sort_keys=True),
        }
        with VolumeWriter(self._path, self._channels, self._shape, self._dtype, attributes) as writer:
            for sections in self.sections():
                writer.write(sections.z, sections.voxels, sections.corner)
        remove_path(self._folder)

    def _layers_of_file(self) -> Iterator[Sections]:
        """Yield the sections of the finished file."""
        source = open_volume(str(self._path))
        for block in self.blocks:
            for box in block.slabs(CHUNK[0]):
                yield Sections(box.start[0], source.read(box), block.start[1:])

    def drop(self) -> None:
        """Remove the pieces: what they were made from is not what it was."""
        remove_path(self._folder)

    def _take_over_or_begin(self, together: bool) -> None:
        found = read_note(self._folder)
        same = found is not None and found.depends_on == self._fingerprint
        if not (together and same):
            self._require_idle()
        if found is not None and same:
            self.differs = _differing(found.made_with, self._made_with)
            self.blocks = cut_blocks(self._shape, found.block, found.depth)
            return
        if found is not None and any(self._folder.glob("*.npy")):
            changed = _differing(found.depends_on, self._fingerprint)
            if not self._restart:
                raise VolumeError(
                    f"{self._path.name}: an unfinished prediction is there, made with other {', '.join(changed)}; go "
                    "on with the command that began it, or give --restart to drop it and begin anew"
                )
            self.dropped = changed
        remove_path(self._folder)
        self._folder.mkdir(parents=True)
        write_note(self._folder, Note(self._fingerprint, self._made_with, self._block, self._depth))

    def _require_idle(self) -> None:
        """Refuse to go on alone, or to drop anything, while a block is worked on."""
        for lock in self.pieces.held():
            with hold(lock, f"a block of {self._path.name}"):
                pass


def layout(channels: int, shape: ZYX, dtype: npt.DTypeLike) -> dict[str, str]:
    """Return what of a fingerprint the form of a file is: its channels, its extent, its type."""
    return {"layout": f"{channels, *shape} {np.dtype(dtype)}"}


def read_fingerprint(path: Path) -> Made | None:
    """Return what a finished file was made from; None if there is no such file, or it does not say."""
    try:
        attributes = read_attributes(path)
        return Made(json.loads(attributes[ATTRIBUTE]), json.loads(attributes.get(MADE_WITH, "{}")))
    except (VolumeError, KeyError, ValueError):
        return None


def _differing(one: Mapping[str, str], other: Mapping[str, str]) -> tuple[str, ...]:
    """Return the names under which two mappings hold different words."""
    return tuple(name for name in {**other, **one} if one.get(name) != other.get(name))
