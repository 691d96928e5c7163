"""Windows that span the whole section plane: no seams in the plane, and no voxel computed twice there."""

from __future__ import annotations

from math import ceil, prod

from connectomics.geometry import ZYX

WIDEST_SEAM = 64
"""By how many voxels two windows overlap where a plane has to be cut, or half of the window if that is less."""


def widen_window(window: ZYX, plane: tuple[int, int], factor: tuple[int, int], max_voxels: int) -> ZYX:
    """Return a window as deep as `window` that spans the plane, or the largest even part of it that is allowed.

    Args:
        window: Extent along (z, y, x) of the windows that the network was trained with; the result is not smaller.
        plane: Extent of the padded volume along (y, x), in voxels.
        factor: What the network needs an extent along (y, x) to be divisible by.
        max_voxels: The largest window that is allowed.

    Returns:
        Extent along (z, y, x).
    """
    counts = [1, 1]
    while True:
        y, x = (_part(*sizes) for sizes in zip(plane, counts, factor, window[1:], strict=True))
        widest = (window[0], y, x)
        if prod(widest) <= max_voxels or widest == window:
            return widest
        longer = 0 if y / window[1] >= x / window[2] else 1
        counts[longer] += 1


def seam_share(window: int, widened: int) -> float:
    """Return the share of a window of `widened` voxels that its neighbour covers too; before, it had `window`."""
    return _seam(window) / widened


def _part(extent: int, count: int, factor: int, window: int) -> int:
    """Return the size of `count` windows that cover `extent` with seams between them."""
    size = ceil((extent + (count - 1) * _seam(window)) / count)
    return max(window, ceil(size / factor) * factor)


def _seam(window: int) -> int:
    return min(WIDEST_SEAM, window // 2)
