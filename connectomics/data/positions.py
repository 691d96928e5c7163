"""Where patches may lie in a volume, as runs of consecutive positions."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from connectomics.data.resample import BORDERS
from connectomics.data.targets import BACKGROUND, NOT_ANNOTATED
from connectomics.geometry import ZYX, Box
from connectomics.volumes.padding import PadMode, inside_indices
from connectomics.volumes.source import VolumeSource

SECTIONS_AT_ONCE = 16
"""How many sections are read together."""


@dataclass(frozen=True, slots=True, eq=False)
class Runs:
    """A set of whole numbers, stored as runs of consecutive ones."""

    starts: NDArray[np.int64]
    """First number of each run, ascending."""
    before: NDArray[np.int64]
    """How many numbers the runs before it hold; one entry more than runs, the last is the size of the set."""

    def __len__(self) -> int:
        return int(self.before[-1])

    def __getitem__(self, rank: int) -> int:
        """Return the number that `rank` others of the set are smaller than."""
        run = int(np.searchsorted(self.before, rank, side="right")) - 1
        return int(self.starts[run] + rank - self.before[run])

    @property
    def nbytes(self) -> int:
        """Memory that the runs take."""
        return self.starts.nbytes + self.before.nbytes


@dataclass(frozen=True, slots=True, eq=False)
class Positions:
    """Every position that a patch may take in a volume, told apart by how much foreground the patch would hold.

    Positions are numbered in C order over the box of `shape` positions that begins at `first`.
    """

    first: ZYX
    shape: ZYX
    rich: Runs
    """Positions whose patch holds the threshold of foreground voxels, or more."""
    poor: Runs
    """The other positions where more than half of the patch is annotated."""
    largest: int
    """The largest count of foreground voxels over all positions."""

    def place(self, number: int) -> ZYX:
        """Return the position (z, y, x) with a number."""
        z, y, x = (int(i) for i in np.unravel_index(number, self.shape))
        return z + self.first[0], y + self.first[1], x + self.first[2]


def find_positions(
    codes: VolumeSource, patch: ZYX, pad: ZYX, pad_mode: PadMode, size_thres: int, within: Box | None = None
) -> Positions:
    """Find where patches may lie, and count the foreground voxels in every one of them.

    The volume is read once, a few sections at a time; sums over a window slide along z.

    Args:
        codes: Label of the volume.
        patch: Extent of a patch along (z, y, x).
        pad: By how much a patch may reach outside, at either side, along (z, y, x).
        pad_mode: What is there; with "constant" voxels that are not annotated.
        size_thres: From how many foreground voxels on a position counts as rich.
        within: The box that patches reach out of by no more than `pad`; None is the volume.
    """
    box = within or Box.whole(codes.shape)
    shape = tuple(n + 2 * p - size + 1 for n, p, size in zip(box.shape, pad, patch, strict=True))
    rich, poor = _RunCollector(), _RunCollector()
    largest = 0
    for foreground, excluded in _window_sums(codes, box, patch, pad, pad_mode):
        is_rich = np.greater_equal(foreground, size_thres)
        peak = foreground
        if excluded is None:
            is_poor = ~is_rich
        else:
            allowed = excluded < (np.prod(patch) + 1) // 2  # more than half is annotated
            is_rich &= allowed
            is_poor = allowed & ~is_rich
            peak = np.where(allowed, foreground, 0)
        largest = max(largest, int(peak.max()))
        rich.add(is_rich)
        poor.add(is_poor)
    z, y, x = shape
    first = box.start[0] - pad[0], box.start[1] - pad[1], box.start[2] - pad[2]
    return Positions(first, (z, y, x), rich.runs(), poor.runs(), largest)


class _RunCollector:
    """Turns planes of True and False, one after the other, into the runs of True."""

    def __init__(self) -> None:
        self._starts: list[NDArray[np.int64]] = []
        self._lengths: list[NDArray[np.int64]] = []
        self._seen = 0

    def add(self, plane: NDArray[np.bool_]) -> None:
        flat = np.zeros(plane.size + 2, np.uint8)
        flat[1:-1] = plane.reshape(-1)
        edges = np.flatnonzero(flat[1:] != flat[:-1])
        self._starts.append(edges[::2] + self._seen)
        self._lengths.append(edges[1::2] - edges[::2])
        self._seen += plane.size

    def runs(self) -> Runs:
        lengths = np.concatenate(self._lengths)
        return Runs(np.concatenate(self._starts), np.concatenate(([0], np.cumsum(lengths))))


def _window_sums(
    codes: VolumeSource, box: Box, patch: ZYX, pad: ZYX, pad_mode: PadMode
) -> Iterator[tuple[NDArray[np.int32], NDArray[np.int32] | None]]:
    """Yield, for each z, the foreground voxels and the excluded voxels (None: none) of the windows there, (Y, X)."""
    kind = np.uint8 if patch[0] <= 255 else np.uint16
    inside: deque[tuple[NDArray, NDArray | None]] = deque()
    foreground: NDArray | None = None
    excluded: NDArray = np.zeros((), kind)
    held = 0
    for section in _padded_sections(codes, box, pad, pad_mode):
        is_excluded = (section == NOT_ANNOTATED).astype(kind)
        is_foreground = (section != BACKGROUND).astype(kind) - is_excluded
        entering = is_foreground, is_excluded if is_excluded.any() else None
        inside.append(entering)
        foreground = is_foreground.copy() if foreground is None else foreground + is_foreground
        if entering[1] is not None:
            excluded, held = excluded + entering[1], held + 1
        if len(inside) < patch[0]:
            continue
        yield _sum_in_plane(foreground, patch), _sum_in_plane(excluded, patch) if held else None
        leaving = inside.popleft()
        foreground -= leaving[0]
        if leaving[1] is not None:
            excluded, held = excluded - leaving[1], held - 1


def _sum_in_plane(plane: NDArray, patch: ZYX) -> NDArray[np.int32]:
    """Return the sum over every window of a plane, (Y, X) to (Y - height + 1, X - width + 1)."""
    height, width = patch[1:]
    sums = cv2.boxFilter(
        plane, cv2.CV_32S, (width, height), anchor=(0, 0), normalize=False, borderType=cv2.BORDER_CONSTANT
    )
    return np.asarray(sums[: plane.shape[0] - height + 1, : plane.shape[1] - width + 1], np.int32)


def _padded_sections(codes: VolumeSource, box: Box, pad: ZYX, pad_mode: PadMode) -> Iterator[NDArray[np.uint8]]:
    """Yield the sections of a box of the volume, (Y, X), with what lies around it: `pad` voxels on either side."""
    z = codes.shape[0]
    first, stop = box.start[0] - pad[0], box.stop[0] + pad[0]
    order = inside_indices(first, stop, z, pad_mode)
    there = box.grown(pad, codes.shape)  # the rest lies outside the volume
    missing = [
        (a - box.start[axis] + pad[axis], box.stop[axis] + pad[axis] - b)
        for axis, (a, b) in enumerate(zip(there.start, there.stop, strict=True))
    ]
    borders = (*missing[1], *missing[2])
    held = range(0)
    slab = np.empty((0, 0, 0), np.uint8)
    for place, section in zip(range(first, stop), order, strict=True):
        if section not in held:
            start = int(section) // SECTIONS_AT_ONCE * SECTIONS_AT_ONCE
            held = range(start, min(start + SECTIONS_AT_ONCE, z))
            slab = codes.read(Box((held.start, *there.start[1:]), (held.stop, *there.stop[1:])))[0]
        plane = slab[section - held.start]
        if pad_mode == "constant" and not 0 <= place < z:
            plane = np.full_like(plane, NOT_ANNOTATED)
        if any(borders):
            plane = cv2.copyMakeBorder(plane, *borders, borderType=BORDERS[pad_mode], value=NOT_ANNOTATED)
        yield plane
