"""Which windows validation looks at."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise, product
from typing import TypeVar

import numpy as np

from connectomics.geometry import ZYX, Box

Window = TypeVar("Window")
"""Whatever says which window is meant."""


def cover(shape: ZYX, window: ZYX) -> list[ZYX]:
    """Return where windows lie that cover a volume once, in C order.

    They do not overlap, but for the last one along an axis, which ends where the volume ends. Along an axis that is
    shorter than the window, one window is centred on the volume.
    """
    z, y, x = (_starts(extent, size) for extent, size in zip(shape, window, strict=True))
    return list(product(z, y, x))


def own_parts(shape: ZYX, window: ZYX) -> list[Box]:
    """Return the part of a volume that each window of `cover` speaks for, in the same order.

    The parts cover every voxel once. Where two windows overlap, each has the half that lies nearer to it; no part is
    shorter than half of the window, or of the volume where that is smaller.
    """
    z, y, x = (_own_ranges(extent, size) for extent, size in zip(shape, window, strict=True))
    return [Box((a[0], b[0], c[0]), (a[1], b[1], c[1])) for a, b, c in product(z, y, x)]


def spread(windows: Sequence[Window], most: int | None) -> list[Window]:
    """Return at most `most` of the windows, evenly spread; all of them when it is None."""
    if most is None or len(windows) <= most:
        return list(windows)
    chosen = np.linspace(0, len(windows), most, endpoint=False) + len(windows) / (2 * most)
    return [windows[int(i)] for i in chosen]


def share_of_rank(windows: Sequence[Window], rank: int, world_size: int) -> list[Window]:
    """Return the windows of one rank.

    All ranks get equally many, so that none waits for another; where they do not come out even, the first windows are
    looked at twice. Such a repetition is the last one of its rank, which has `count_of_rank` windows of its own.
    """
    count = -(-len(windows) // world_size)
    return [windows[(rank + i * world_size) % len(windows)] for i in range(count)]


def count_of_rank(windows: int, rank: int, world_size: int) -> int:
    """Return how many of so many windows are the own ones of a rank, which count."""
    return len(range(rank, windows, world_size))


def _own_ranges(extent: int, size: int) -> list[tuple[int, int]]:
    starts = _starts(extent, size)
    borders = [(first + size + second) // 2 for first, second in pairwise(starts)]
    return list(pairwise([0, *borders, extent]))


def _starts(extent: int, size: int) -> list[int]:
    if extent <= size:
        return [(extent - size) // 2]
    return [*range(0, extent - size, size), extent - size]
