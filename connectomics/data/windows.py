"""Which windows validation looks at."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product

import numpy as np

from connectomics.geometry import ZYX


def cover(shape: ZYX, window: ZYX) -> list[ZYX]:
    """Return where windows lie that cover a volume once, in C order.

    They do not overlap, but for the last one along an axis, which ends where the volume ends. Along an axis that is
    shorter than the window, one window is centred on the volume.
    """
    z, y, x = (_starts(extent, size) for extent, size in zip(shape, window, strict=True))
    return list(product(z, y, x))


def spread(windows: Sequence[tuple[int, ZYX]], most: int | None) -> list[tuple[int, ZYX]]:
    """Return at most `most` of the windows, evenly spread; all of them when it is None."""
    if most is None or len(windows) <= most:
        return list(windows)
    chosen = np.linspace(0, len(windows), most, endpoint=False) + len(windows) / (2 * most)
    return [windows[int(i)] for i in chosen]


def share_of_rank(windows: Sequence[tuple[int, ZYX]], rank: int, world_size: int) -> list[tuple[int, ZYX]]:
    """Return the windows of one rank.

    All ranks get equally many, so that none waits for another; where they do not come out even, the first windows are
    looked at twice.
    """
    count = -(-len(windows) // world_size)
    return [windows[(rank + i * world_size) % len(windows)] for i in range(count)]


def _starts(extent: int, size: int) -> list[int]:
    if extent <= size:
        return [(extent - size) // 2]
    return [*range(0, extent - size, size), extent - size]
