"""Floor 3: a synthetic phantom of anisotropic serial-section EM with synaptic clefts, for demos and tests."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from connectomics.errors import VolumeError
from connectomics.geometry import ZYX, Spacing
from connectomics.phantom.cells import grow_cells
from connectomics.phantom.draw_synapses import (
    Synapse,
    as_synapse,
    label_synapses,
    paint_bar,
    paint_cleft,
    paint_density,
    paint_junction,
    place_contacts,
)
from connectomics.phantom.imaging import DRIFT_PX, cut, drift, expose, stain
from connectomics.phantom.organelles import (
    paint_mitochondria,
    paint_reticulum,
    paint_scattered,
    paint_vesicles,
)

__all__ = ["MIN_SHAPE", "SPACING_NM", "Phantom", "make_phantom"]

SPACING_NM: Spacing = (40.0, 8.0, 8.0)
"""Voxel size of every phantom."""

MIN_SHAPE: ZYX = (2, 32, 32)
"""Shape of the smallest phantom; one so small may hold no cleft."""


@dataclass(frozen=True, slots=True)
class Phantom:
    """Synthetic micrographs and what is known about them; every array is (Z, Y, X)."""

    image: NDArray[np.uint8]
    """Micrographs, membranes dark."""
    label: NDArray[np.uint64]
    """Clefts: k for the cleft of synapse k, counted from 1, and 0 for the background."""
    polarity: NDArray[np.uint64]
    """Sides of synapses, each 7 pixels deep from the wall between the cells: 2k - 1 for pre, 2k for post, 0 for the
    background."""
    spacing_nm: Spacing = SPACING_NM


def make_phantom(
    shape: ZYX,
    rng: np.random.Generator,
    *,
    synapses_per_um3: float = 10.0,
    apart: ZYX = (0, 0, 0),
    density_px: float = 0.0,
) -> Phantom:
    """Make a phantom of neural tissue as serial-section EM shows it.

    Clefts are dark plates with a bright slit, 5 to 7 pixels thick and 2 to 8 sections high, on walls between two cells:
    vesicles and a dark bar in the presynaptic cell, a denser membrane in the postsynaptic one. About as many junctions,
    just as dark and thick but alike on both sides and without vesicles, are not labelled.

    Args:
        shape: Extent along (z, y, x), in voxels, `MIN_SHAPE` or more.
        rng: Source of randomness; the same state gives the same phantom.
        synapses_per_um3: Density aimed at; fewer are made where they would crowd.
        apart: Least number of voxels along (z, y, x) between the sides of two synapses, before the stage drifts: up to
            6 pixels more or less from one section to the next.
        density_px: How far a postsynaptic density reaches behind the plate of the cleft; it ends with the side.

    Returns:
        The phantom. A small one may hold no synapse.

    Raises:
        VolumeError: If `shape` is smaller than `MIN_SHAPE`, or the density is negative.
    """
    if any(n < least for n, least in zip(shape, MIN_SHAPE, strict=True)):
        raise VolumeError(f"a phantom of shape {tuple(shape)} is too small; it must be {MIN_SHAPE} or more")
    if synapses_per_um3 < 0:
        raise VolumeError(f"a phantom cannot hold {synapses_per_um3} synapses per cubic micrometre")
    count = round(synapses_per_um3 * float(np.prod(np.multiply(shape, SPACING_NM) / 1000)))
    whole = (shape[0], shape[1] + 2 * DRIFT_PX, shape[2] + 2 * DRIFT_PX)
    tissue, synapses = _make_tissue(whole, count, apart, rng)
    for synapse in synapses:
        paint_density(tissue, synapse, density_px)
    label, polarity = label_synapses(tissue.shape, synapses)
    shifts = drift(shape, rng)
    return Phantom(expose(cut(tissue, shifts), rng), cut(label, shifts), cut(polarity, shifts))


def _make_tissue(
    shape: ZYX, count: int, apart: ZYX, rng: np.random.Generator
) -> tuple[NDArray[np.float32], list[Synapse]]:
    """Return the brightness of tissue with up to `count` synapses, (Z, Y, X), and the synapses."""
    cells = grow_cells(shape, rng)
    contacts = place_contacts(cells, 2 * count, rng, apart)
    synapses = [as_synapse(contact, rng) for contact in contacts[::2]]
    free = np.ones(shape, bool)
    for contact in contacts:
        free[contact.box.slices] &= ~contact.zone
    canvas = stain(cells, rng)
    paint_reticulum(canvas, cells, rng)
    paint_mitochondria(canvas, cells, free, max(1, count // 2), rng)
    paint_scattered(canvas, cells, free, rng)
    for contact in contacts[1::2]:
        paint_junction(canvas, contact, rng)
    for synapse in synapses:
        paint_vesicles(canvas, cells, synapse, free, rng)
        paint_cleft(canvas, synapse, rng)
        paint_bar(canvas, synapse)
    return canvas, synapses
