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
from connectomics.files import remove_path, why_not_written, write_text, write_whole
from connectomics.geometry import ZYX, Box
from connectomics.volumes.attributes import read_attributes
from connectomics.volumes.chunks import CHUNK
from connectomics.volumes.damage import DAMAGE
from connectomics.volumes.read import open_volume
from connectomics.volumes.sections import Sections, cut_plane
from connectomics.volumes.write import VolumeWriter

Fingerprint = Mapping[str, str]
"""What a prediction depends on, by name, such as "weights", "settings", "image" and "code"."""

ATTRIBUTE = "fingerprint"
"""Attribute of the finished dataset that holds the fingerprint as JSON."""

MADE_WITH = "made_with"
"""Attribute of the finished dataset that holds, as JSON, what changes it by rounding at most."""


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
    ) -> None:
        """Prepare to make `path`.

        Args:
            path: This and the next four are the arguments of `VolumeWriter`.
            fingerprint: What the content depends on.
            block: Extent along (y, x) of the blocks in which a plane comes that is too large; None is whole planes.
            made_with: What the content depends on by rounding at most, by name; recorded, and compared when going on.
            restart: Whether to drop pieces with another fingerprint, instead of refusing to go on.
        """
        self._path, self._folder = path, path.with_name(f".{path.name}.stage")
        self._channels, self._shape, self._dtype = channels, shape, np.dtype(dtype)
        self._attributes = attributes
        self._fingerprint = {**fingerprint, **layout(channels, shape, self._dtype)}
        self._made_with, self._restart = dict(made_with or {}), restart
        self._blocks = cut_plane(shape, block)
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
        finished = read_fingerprint(self._path)
        if finished is not None and finished.depends_on == self._fingerprint:
            self.is_finished, self.differs = True, _differing(finished.made_with, self._made_with)
            remove_path(self._folder)
            return self
        try:
            self._take_over_or_begin()
        except OSError as error:
            raise VolumeError(f"{self._folder} cannot be written: {why_not_written(error)}") from error
        done = {block.start[1:]: 0 for block in self._blocks}
        for piece in self._pieces():
            done[piece.corner] = piece.box.stop[0]
        rest = (Box((done[block.start[1:]], *block.start[1:]), block.stop) for block in self._blocks)
        self.remaining = [box for box in rest if box.size]
        return self

    def sections(self) -> Iterator[Sections]:
        """Yield the sections that are there already, in the type they are saved in."""
        return self._layers_of_file() if self.is_finished else self._pieces()

    def write(self, sections: Sections) -> None:
        """Keep sections; they are the first of what remains.

        Raises:
            VolumeError: If the disk does not take them.
        """
        first, given = self.remaining[0], sections.box
        if given.start != first.start or given.stop[1:] != first.stop[1:] or given.stop[0] > first.stop[0]:
            raise ValueError(f"{given} was given to {self._path}, {first} comes next")
        target = self._piece(sections.corner, sections.z)
        kept = "; what is finished is kept, and the same command goes on from there"
        with write_whole(target, VolumeError, kept) as partial, partial.open("wb") as file:
            np.save(file, np.ascontiguousarray(sections.voxels, self._dtype), allow_pickle=False)
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
            for sections in self._pieces():
                writer.write(sections.z, sections.voxels, sections.corner)
        remove_path(self._folder)

    def _piece(self, corner: tuple[int, int], z: int) -> Path:
        return self._folder / f"{corner[0]:08d}_{corner[1]:08d}_{z:08d}.npy"

    def _pieces(self) -> Iterator[Sections]:
        """Yield the pieces of each block without a gap from section 0 on, mapped from the disk."""
        for block in self._blocks:
            corner, z = block.start[1:], 0
            while z < block.stop[0] and self._piece(corner, z).is_file():
                try:
                    voxels = np.load(self._piece(corner, z), mmap_mode="r", allow_pickle=False)
                except DAMAGE:  # torn by a power failure; the rest of the block is computed again
                    break
                yield Sections(z, voxels, corner)
                z += voxels.shape[1]

    def _layers_of_file(self) -> Iterator[Sections]:
        """Yield the sections of the finished file."""
        source = open_volume(str(self._path))
        for block in self._blocks:
            for box in block.slabs(CHUNK[0]):
                yield Sections(box.start[0], source.read(box), block.start[1:])

    def drop(self) -> None:
        """Remove the pieces: what they were made from is not what it was."""
        remove_path(self._folder)

    def _take_over_or_begin(self) -> None:
        note = self._folder / "fingerprint.json"
        found = _read_note(note)
        if found is not None and found.depends_on == self._fingerprint:
            self.differs = _differing(found.made_with, self._made_with)
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
        both = {"fingerprint": self._fingerprint, MADE_WITH: self._made_with}
        write_text(note, json.dumps(both, indent=2, sort_keys=True) + "\n", VolumeError)


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


def _read_note(note: Path) -> Made | None:
    """Return what the pieces in a folder were made from; None where there are none."""
    try:
        both = json.loads(note.read_text(encoding="utf-8"))
        return Made(dict(both["fingerprint"]), dict(both[MADE_WITH]))
    except (OSError, ValueError):
        return None
    except (KeyError, TypeError):  # of an older version, whose pieces go on with nothing
        return Made({"version": "an older one"}, {})


def _differing(one: Mapping[str, str], other: Mapping[str, str]) -> tuple[str, ...]:
    """Return the names under which two mappings hold different words."""
    return tuple(name for name in {**other, **one} if one.get(name) != other.get(name))
