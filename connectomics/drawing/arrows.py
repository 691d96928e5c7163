"""Arrows that say which way an object points: from its first part to its last."""

from __future__ import annotations

from math import cos, hypot, pi, sin

STRETCH = 2.5
"""How much longer an arrow is than the distance between the centres of the two parts, so that it reaches past both."""

SHORTEST, LONGEST = 12.0, 60.0
"""Shortest and longest length of an arrow, in voxels."""

_HEAD = 0.4
_HEAD_ANGLE = pi / 6

Point = tuple[float, float]
"""A place in a section along (y, x), in voxels; a voxel's middle lies at its index."""


def place_arrow(first: Point, last: Point) -> list[Point]:
    """Return the corners of an arrow drawn in one stroke: tail, tip, one barb, tip, the other barb.

    Args:
        first: The middle of the part that it leaves.
        last: The middle of the part that it points to.

    Returns:
        Five points; none where the two middles are the same and there is no direction.
    """
    y, x = last[0] - first[0], last[1] - first[1]
    distance = hypot(y, x)
    if distance < 1e-6:
        return []
    length = min(max(STRETCH * distance, SHORTEST), LONGEST)
    y, x = y / distance * length, x / distance * length
    tail = ((first[0] + last[0] - y) / 2, (first[1] + last[1] - x) / 2)
    tip = (tail[0] + y, tail[1] + x)
    barbs = [
        (tip[0] - _HEAD * (y * cos(turn) - x * sin(turn)), tip[1] - _HEAD * (y * sin(turn) + x * cos(turn)))
        for turn in (_HEAD_ANGLE, -_HEAD_ANGLE)
    ]
    return [tail, tip, barbs[0], tip, barbs[1]]
