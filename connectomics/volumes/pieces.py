"""Pieces of a volume in the making: some sections each, in a folder, whole or not there."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import final

import numpy as np
import numpy.typing as npt

from connectomics.errors import HeldError, VolumeError
from connectomics.files import hold, is_held, write_text, write_whole
from connectomics.geometry import Box
from connectomics.volumes.damage import DAMAGE
from connectomics.volumes.sections import Sections

KEPT = "; what is finished is kept, and the same command goes on from there"


@dataclass(frozen=True, slots=True)
class Note:
    """What lies in a folder of pieces."""

    depends_on: dict[str, str]
    """Fingerprint of what they were made from."""
    made_with: dict[str, str]
    """What changes them by rounding at most."""
    block: tuple[int, int] | None = None
    """Extent along (y, x) of the blocks of a plane; None is whole planes."""
    depth: int | None = None
    """Sections of a block; None is all of them."""


@final
class Pieces:
    """The pieces of one prediction. Their names hold a digest of its fingerprint, so those of another one never count.

    A block is worked on by one process at a time, which holds it. What says that a block is finished is written when
    its pieces are on the disk.
    """

    def __init__(self, folder: Path, fingerprint: Mapping[str, str], dtype: npt.DTypeLike) -> None:
        self.folder, self._dtype = folder, np.dtype(dtype)
        self._digest = sha256(json.dumps(dict(fingerprint), sort_keys=True).encode()).hexdigest()[:16]

    def of(self, block: Box) -> Iterator[Sections]:
        """Yield the pieces of a block, without a gap from its first section on, mapped from the disk."""
        z, corner = block.start[0], block.start[1:]
        while z < block.stop[0] and (path := self._path(corner, z, "npy")).is_file():
            try:
                voxels = np.load(path, mmap_mode="r", allow_pickle=False)
            except DAMAGE:  # torn by a power failure; the rest of the block is computed again
                return
            yield Sections(z, voxels, corner)
            z += voxels.shape[1]

    def rest(self, block: Box) -> Box:
        """Return what of a block is still to be made."""
        done = block.start[0]
        for piece in self.of(block):
            done = piece.box.stop[0]
        return Box((done, *block.start[1:]), block.stop)

    def write(self, sections: Sections) -> None:
        """Write a piece.

        Raises:
            VolumeError: If the disk does not take it.
        """
        path = self._path(sections.corner, sections.z, "npy")
        with write_whole(path, VolumeError, KEPT, tidies=False) as partial, partial.open("wb") as file:
            np.save(file, np.ascontiguousarray(sections.voxels, self._dtype), allow_pickle=False)

    def is_finished(self, block: Box) -> bool:
        """Return whether a block was finished, by what is written then."""
        return self._path(block.start[1:], block.start[0], "done").exists()

    @contextmanager
    def claim(self, block: Box, whole: Path) -> Iterator[Box | None]:
        """Hold a block, and note that it is finished when the context ends well.

        Args:
            block: One of the blocks that the volume is made in.
            whole: The lock of who works on all of the volume alone; while it is held, no block is given.

        Returns:
            What of it is to be made; None if it is finished, or another process is at it, or closed the volume.
        """
        lock = self._path(block.start[1:], block.start[0], "lock")
        with ExitStack() as stack:
            try:
                stack.enter_context(hold(lock, str(lock)))
            except HeldError:
                yield None
                return
            if self.is_finished(block) or is_held(whole) or read_note(self.folder) is None:
                yield None
                return
            rest = self.rest(block)
            yield rest if rest.size else None
            if self.rest(block).size:
                raise ValueError(f"{block} of {self.folder} was left unfinished")
            done = self._path(block.start[1:], block.start[0], "done")
            with write_whole(done, VolumeError, KEPT, tidies=False) as partial:
                partial.touch()

    def held(self) -> list[Path]:
        """Return the locks of blocks, of any fingerprint, that a process works on."""
        return [lock for lock in sorted(self.folder.glob("*.lock")) if is_held(lock)]

    def _path(self, corner: tuple[int, int], z: int, suffix: str) -> Path:
        return self.folder / f"{corner[0]:08d}_{corner[1]:08d}_{z:08d}.{self._digest}.{suffix}"


def write_note(folder: Path, note: Note) -> None:
    """Write what the pieces of a folder are made from, before the first of them."""
    whole = {
        "fingerprint": note.depends_on, "made_with": note.made_with, "block": note.block, "depth": note.depth,
    }  # fmt: skip
    write_text(folder / "fingerprint.json", json.dumps(whole, indent=2, sort_keys=True) + "\n", VolumeError)


def read_note(folder: Path) -> Note | None:
    """Return what the pieces in a folder were made from; None where there are none."""
    try:
        whole = json.loads((folder / "fingerprint.json").read_text(encoding="utf-8"))
        block = whole["block"]
        return Note(
            dict(whole["fingerprint"]),
            dict(whole["made_with"]),
            None if block is None else (int(block[0]), int(block[1])),
            None if whole["depth"] is None else int(whole["depth"]),
        )
    except (OSError, ValueError):
        return None
    except (KeyError, TypeError):  # of an older version, whose pieces go on with nothing
        return Note({"version": "an older one"}, {})
