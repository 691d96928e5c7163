"""Synapses of the phantom, and the junctions that look like them."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from connectomics.geometry import ZYX, Box
from connectomics.phantom.cells import Cells
from connectomics.phantom.contacts import Contact, trace_contact

EDGE_PX = 12
"""Least distance of a contact's centre from the volume's faces in the section plane, in pixels."""

_UPRIGHT = 0.5
_ROOM_DEPTH_PX = 14
_TRIES_PER_CONTACT = 16
_DENSITY = 52.0


@dataclass(frozen=True, slots=True)
class Synapse:
    """One synapse: `contact.signed` is positive in the presynaptic cell."""

    contact: Contact
    half_width: float
    """Half the thickness of the cleft's plate, in pixels."""
    cleft: NDArray[np.bool_]
    """The cleft as it is drawn and labelled, in `contact.box`."""


def place_contacts(cells: Cells, count: int, rng: np.random.Generator, apart: ZYX = (0, 0, 0)) -> list[Contact]:
    """Choose up to `count` contacts that keep clear of one another, with room for vesicles on the positive side.

    Args:
        cells: The tissue.
        count: How many at most.
        rng: Source of randomness.
        apart: Least number of voxels along (z, y, x) between the zones of two contacts, whatever cells they join.
    """
    free = np.ones(cells.body.shape, bool)
    chosen: list[Contact] = []
    for centre in _candidates(cells, count * _TRIES_PER_CONTACT, rng):
        radius = (rng.uniform(1.1, 3.9), rng.uniform(17, 30))
        lift = rng.uniform(-0.5, 0.5)
        if len(chosen) == count or not _has_free_wall(cells, free, centre, int(radius[1])):
            continue
        contact = trace_contact(cells, centre, radius, lift)
        if contact is None or not free[contact.box.slices][contact.zone].all():
            continue
        roomy = [side for side in (contact, contact.flipped()) if _has_room(side)]
        if roomy:
            _clear(free[contact.box.slices], contact)
            _clear_around(free, contact, apart)
            chosen.append(roomy[rng.integers(len(roomy))])
    return chosen


def _has_free_wall(cells: Cells, free: NDArray[np.bool_], centre: ZYX, radius: int) -> bool:
    """Return whether the wall at `centre` continues for `radius` and is free: a cheap look at one section only."""
    z, y, x = centre
    at = np.s_[z, max(0, y - radius) : y + radius + 1, max(0, x - radius) : x + radius + 1]
    one, other = cells.body[centre], cells.neighbour[centre]
    body, neighbour = cells.body[at], cells.neighbour[at]
    wall = (cells.depth[at] < 1) & np.where(body == one, neighbour == other, (body == other) & (neighbour == one))
    return int(np.count_nonzero(wall)) >= radius and bool(free[at][wall].all())


def _has_room(contact: Contact) -> bool:
    """Return whether the positive cell is wide enough behind the contact for a cluster of vesicles."""
    sections = np.count_nonzero(contact.zone.any(axis=(1, 2)))
    wanted = _ROOM_DEPTH_PX * 2 * contact.radius[1] * sections
    return bool(np.count_nonzero(contact.hinterland() & contact.zone.any(axis=(1, 2), keepdims=True)) >= wanted)


def _candidates(cells: Cells, count: int, rng: np.random.Generator) -> list[ZYX]:
    """Draw voxels next to a wall that stands upright on the section."""
    inner = np.s_[:, EDGE_PX:-EDGE_PX, EDGE_PX:-EDGE_PX]
    z, y, x = np.nonzero((cells.depth[inner] < 1) & (cells.tilt[inner] < _UPRIGHT))
    drawn = rng.integers(len(z), size=count) if len(z) else np.zeros(0, np.int64)
    return [(int(z[i]), int(y[i]) + EDGE_PX, int(x[i]) + EDGE_PX) for i in drawn]


def _clear(free: NDArray[np.bool_], contact: Contact) -> None:
    """Take the zone of a contact, and all that is near it, out of what is `free` in its box."""
    sections = contact.zone.any(axis=(1, 2))
    sections = sections | np.roll(sections, 1) | np.roll(sections, -1)
    near = contact.square_distance() <= (contact.radius[1] + 6) ** 2
    free &= ~(sections[:, None, None] & near & np.isfinite(contact.signed))


def _clear_around(free: NDArray[np.bool_], contact: Contact, apart: ZYX) -> None:
    """Take all voxels with fewer than `apart` voxels between them and the zone of a contact out of what is `free`."""
    if not any(apart):
        return
    box = contact.box
    before = [min(gap, a) for gap, a in zip(apart, box.start, strict=True)]
    after = [min(gap, n - b) for gap, b, n in zip(apart, box.stop, free.shape, strict=True)]
    zone = np.pad(contact.zone, list(zip(before, after, strict=True)))
    around = Box.at([a - gap for a, gap in zip(box.start, before, strict=True)], zone.shape)
    free[around.slices] &= ~ndimage.maximum_filter(zone, size=[2 * gap + 1 for gap in apart])


def as_synapse(contact: Contact, rng: np.random.Generator) -> Synapse:
    """Turn a contact into a synapse with a plate of 5 to 7 pixels."""
    half_width = rng.uniform(2.6, 3.4)
    return Synapse(contact, half_width, contact.plate(half_width))


def paint_cleft(canvas: NDArray[np.float32], synapse: Synapse, rng: np.random.Generator) -> None:
    """Draw the two membranes, the slit between them and the density behind the postsynaptic one.

    Args:
        canvas: Brightness, (Z, Y, X), changed in place.
        synapse: What to draw.
        rng: Source of randomness.
    """
    signed = synapse.contact.signed[synapse.cleft]
    brightness = np.interp(signed, [-3.5, -1.0, 0.0, 0.6, 1.6, 3.5], [48, 42, 88, 92, 62, 74])
    canvas[synapse.contact.box.slices][synapse.cleft] = brightness + rng.uniform(-8, 12)


def paint_bar(canvas: NDArray[np.float32], synapse: Synapse) -> None:
    """Draw the dark bar that stands on the presynaptic membrane: a stem with a table on it, in up to three sections."""
    contact = synapse.contact
    along = np.sqrt(np.maximum(contact.square_distance() - contact.signed**2, 0))
    stem = (contact.signed > 2) & (contact.signed < 7) & (along < 2.2)
    table = (contact.signed > 6) & (contact.signed < 9) & (along < 6)
    middle = contact.centre[0] - contact.box.start[0]
    at = np.s_[max(0, middle - 1) : middle + 2]
    present = synapse.cleft[at].any(axis=(1, 2), keepdims=True)
    canvas[contact.box.slices][at][(stem | table)[at] & present & ~synapse.cleft[at]] = 58


def paint_density(canvas: NDArray[np.float32], synapse: Synapse, depth: float) -> None:
    """Draw the dark fuzz in the postsynaptic cell behind the cleft, to `depth` pixels from the plate; 0 draws none."""
    contact = synapse.contact
    behind = -contact.signed - synapse.half_width  # 0 at the face of the plate
    fuzz = contact.zone & (behind > 0) & (behind < depth)
    within = canvas[contact.box.slices]
    within[fuzz] += (0.9 * (1 - (behind[fuzz] / depth) ** 2)) * (_DENSITY - within[fuzz])


def paint_junction(canvas: NDArray[np.float32], contact: Contact, rng: np.random.Generator) -> None:
    """Draw a dark thick membrane that is not a synapse: alike on both sides, without slit, bar or vesicles."""
    patch = contact.plate(rng.uniform(1.8, 3.2))
    canvas[contact.box.slices][patch] = rng.uniform(40, 66)


def label_synapses(shape: ZYX, synapses: list[Synapse]) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    """Return the cleft of synapse k as k, and its two sides as 2k - 1 (pre) and 2k (post); both (Z, Y, X)."""
    label, polarity = np.zeros(shape, np.uint64), np.zeros(shape, np.uint64)
    for number, synapse in enumerate(synapses, start=1):
        contact = synapse.contact
        label[contact.box.slices][synapse.cleft] = number
        side = np.where(contact.signed[contact.zone] > 0, 2 * number - 1, 2 * number)
        polarity[contact.box.slices][contact.zone] = side
    return label, polarity
