"""Places where two cells touch: synapses and junctions alike sit on a part of such a contact."""

from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from connectomics.geometry import ZYX, Box
from connectomics.phantom.cells import Cells

_AROUND = (2, 30, 30)
"""Margin of a contact's box around the contact, which leaves room for vesicles."""

SIDE_PX = 7.0
"""How far the zone of a contact reaches into either cell in the section plane, in pixels."""


@dataclass(frozen=True, slots=True)
class Contact:
    """A patch of the wall between two cells, upright on the sections; arrays are those of `box`, (Z, Y, X)."""

    box: Box
    centre: ZYX
    """A voxel of the wall, in voxels of the volume."""
    signed: NDArray[np.float32]
    """Distance to the wall in the section plane, in pixels: positive in one cell, negative in the other, inf
    elsewhere."""
    zone: NDArray[np.bool_]
    """Voxels of the contact, up to `SIDE_PX` from the wall on both sides."""
    radius: tuple[float, float]
    """Half the extent along z, in sections, and in the section plane, in pixels."""

    def plate(self, half_width: float) -> NDArray[np.bool_]:
        """Return the voxels of the patch at most `half_width` pixels from the wall."""
        return self.zone & (np.abs(self.signed) <= half_width)

    def flipped(self) -> "Contact":
        """Return the same contact with its two cells exchanged."""
        return replace(self, signed=np.where(np.isinf(self.signed), self.signed, -self.signed))

    def hinterland(self) -> NDArray[np.bool_]:
        """Return the part of the positive cell behind the patch: where a presynaptic cell keeps its vesicles."""
        near = self.square_distance() <= (self.radius[1] + 8) ** 2
        return near & (self.signed > 6) & (self.signed < 30)

    def square_distance(self) -> NDArray[np.float32]:
        """Return the squared distance to the centre in the section plane, in square pixels, (1, Y, X)."""
        _, y, x = self._offsets()
        return y**2 + x**2

    def _offsets(self) -> tuple[NDArray[np.float32], ...]:
        """Return the offset from the centre along each axis, open grids."""
        axes = (
            np.arange(a, b, dtype=np.float32) - c
            for a, b, c in zip(self.box.start, self.box.stop, self.centre, strict=True)
        )
        return np.ix_(*axes)


def trace_contact(cells: Cells, centre: ZYX, radius: tuple[float, float], lift: float) -> Contact | None:
    """Follow the wall that passes through `centre`.

    Args:
        cells: The tissue.
        centre: A voxel next to the wall.
        radius: Half the extent wanted along z, in sections, and in the section plane, in pixels.
        lift: Offset of the patch from `centre` along z, in sections, within (-1, 1).

    Returns:
        The contact; nothing if the wall ends too soon or is cut too obliquely to be a patch of that size.
    """
    reach = (int(radius[0] + abs(lift)), int(radius[1]), int(radius[1]))
    start = [max(0, c - r - m) for c, r, m in zip(centre, reach, _AROUND, strict=True)]
    stop = [min(n, c + r + m + 1) for c, r, m, n in zip(centre, reach, _AROUND, cells.body.shape, strict=True)]
    box = Box((start[0], start[1], start[2]), (stop[0], stop[1], stop[2]))
    signed = _signed_distance(cells.body[box.slices], int(cells.body[centre]), int(cells.neighbour[centre]))
    bare = Contact(box, centre, signed, np.zeros(box.shape, bool), radius)
    height = bare._offsets()[0] - lift
    within = (height / radius[0]) ** 4 + bare.square_distance() / radius[1] ** 2 <= 1
    within &= _wall_length(within, signed)[:, None, None] >= radius[1] / 2
    parts, _ = ndimage.label(within & (np.abs(signed) <= SIDE_PX), structure=np.ones((3, 3, 3)))
    own = parts[tuple(c - a for c, a in zip(centre, start, strict=True))]
    if own == 0:
        return None
    contact = replace(bare, zone=parts == own)
    return contact if _is_whole(contact) else None


def _signed_distance(body: NDArray[np.int32], one: int, other: int) -> NDArray[np.float32]:
    """Return the distance to the wall between two cells in each section, positive in `one`, inf in other cells."""
    signed = np.full(body.shape, np.inf, np.float32)
    for section, into in zip(body, signed, strict=True):
        for cell, beyond, sign in ((one, other, 1), (other, one, -1)):
            inside = section == cell
            if inside.any() and (section == beyond).any():
                away = cv2.distanceTransform((section != beyond).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_5)
                into[inside] = sign * (away[inside] - 0.5)
    return signed


def _is_whole(contact: Contact) -> bool:
    """Return whether the patch spans two sections or more and is on average at least one radius long."""
    length = _wall_length(contact.zone, contact.signed)
    length = length[length > 0]
    return len(length) >= 2 and length.mean() >= contact.radius[1]


def _wall_length(patch: NDArray[np.bool_], signed: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return about how long the wall is within each section of a patch, in pixels, (Z,)."""
    return np.count_nonzero(patch & (np.abs(signed) < 1), axis=(1, 2)) / 2
