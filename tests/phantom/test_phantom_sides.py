"""The two sides of the phantom's synapses: where they lie, and what tells them apart."""

import numpy as np
import pytest
from scipy import ndimage

from connectomics.phantom import make_phantom
from connectomics.phantom.cells import Cells, grow_cells
from connectomics.phantom.draw_synapses import (
    Synapse,
    as_synapse,
    label_synapses,
    paint_bar,
    paint_cleft,
    paint_density,
    place_contacts,
)
from connectomics.phantom.organelles import paint_vesicles

SHAPE = (16, 192, 192)
DILATION = (1, 5, 5)
APART = (3, 17, 17)
"""Twice the dilation and one more, so that dilated ones do not touch, and 6 pixels for the drift of the stage."""


@pytest.fixture(scope="module")
def cells() -> Cells:
    return grow_cells(SHAPE, np.random.default_rng(7))


@pytest.fixture(scope="module")
def synapses(cells: Cells) -> list[Synapse]:
    rng = np.random.default_rng(7)
    return [as_synapse(contact, rng) for contact in place_contacts(cells, 20, rng)]


def in_volume(synapse: Synapse, mask: np.ndarray) -> np.ndarray:
    """Return a mask of a synapse's box in the whole volume."""
    whole = np.zeros(SHAPE, bool)
    whole[synapse.contact.box.slices] = mask
    return whole


def test_the_sides_of_a_synapse_lie_in_two_cells_one_each(cells: Cells, synapses: list[Synapse]) -> None:
    _, polarity = label_synapses(SHAPE, synapses)
    assert len(synapses) > 10
    for k in range(1, len(synapses) + 1):
        pre, post = (np.unique(cells.body[polarity == side]) for side in (2 * k - 1, 2 * k))
        assert len(pre) == len(post) == 1
        assert pre != post


def test_a_side_is_one_piece_with_its_partner_and_spans_two_sections_or_more(synapses: list[Synapse]) -> None:
    for k, synapse in enumerate(synapses, start=1):
        _, polarity = label_synapses(SHAPE, [synapse])
        assert ndimage.label(polarity > 0, structure=np.ones((3, 3, 3)))[1] == 1, k
        for side in (1, 2):
            assert np.count_nonzero((polarity == side).any(axis=(1, 2))) >= 2


def test_vesicles_are_drawn_in_the_presynaptic_cell_only(cells: Cells, synapses: list[Synapse]) -> None:
    for synapse in synapses:
        canvas = np.zeros(SHAPE, np.float32)
        paint_vesicles(canvas, cells, synapse, np.ones(SHAPE, bool), np.random.default_rng(0))
        drawn = np.abs(canvas) > 5
        assert drawn.sum() > 200
        assert not (drawn & ~in_volume(synapse, synapse.contact.signed > 0)).any()


def test_the_bar_stands_in_the_presynaptic_cell_beside_the_cleft(synapses: list[Synapse]) -> None:
    for synapse in synapses:
        canvas = np.full(SHAPE, 180, np.float32)
        paint_bar(canvas, synapse)
        drawn = canvas < 180
        assert drawn.any()
        assert not (drawn & ~in_volume(synapse, synapse.contact.signed > 0)).any()
        assert not (drawn & in_volume(synapse, synapse.cleft)).any()


def test_the_postsynaptic_membrane_is_the_denser_one(synapses: list[Synapse]) -> None:
    for synapse in synapses:
        canvas = np.full(SHAPE, 180, np.float32)
        paint_cleft(canvas, synapse, np.random.default_rng(0))
        within = canvas[synapse.contact.box.slices]
        signed = synapse.contact.signed
        pre, post = (within[synapse.cleft & side].mean() for side in (signed > 0.7, signed < -0.7))
        assert post < pre - 10


@pytest.mark.parametrize("depth", [1.0, 5.0])
def test_the_density_lies_in_the_postsynaptic_side_behind_the_cleft_and_darkens(
    synapses: list[Synapse], depth: float
) -> None:
    for synapse in synapses:
        canvas = np.full(SHAPE, 180, np.float32)
        paint_density(canvas, synapse, depth)
        drawn = canvas < 180
        _, polarity = label_synapses(SHAPE, [synapse])
        assert drawn.any()
        assert not (drawn & (polarity != 2)).any()
        assert not (drawn & in_volume(synapse, synapse.cleft)).any()
        assert canvas.max() == 180


def test_a_density_changes_no_label_and_none_is_the_phantom_without_it() -> None:
    bare, dense = (make_phantom((4, 96, 96), np.random.default_rng(2), density_px=depth) for depth in (0, 5))
    np.testing.assert_array_equal(bare.label, dense.label)
    np.testing.assert_array_equal(bare.polarity, dense.polarity)
    post = (dense.polarity > 0) & (dense.polarity % 2 == 0)
    assert dense.image[post].mean() < bare.image[post].mean() - 15
    far = ~ndimage.binary_dilation(post, np.ones((1, 9, 9), bool))  # beyond the blur of the microscope
    np.testing.assert_array_equal(bare.image[far], dense.image[far])


def test_synapses_kept_apart_stay_apart_when_they_grow() -> None:
    phantom = make_phantom(SHAPE, np.random.default_rng(5), apart=APART)
    synapse = (phantom.polarity.astype(np.int64) + 1) // 2
    grown = ndimage.maximum_filter(synapse > 0, size=[2 * reach + 1 for reach in DILATION])
    pieces, count = ndimage.label(grown)
    assert count == synapse.max() >= 5
    for piece in range(1, count + 1):
        assert len(np.unique(synapse[(pieces == piece) & (synapse > 0)])) == 1


def test_crowded_synapses_merge_when_they_grow() -> None:
    phantom = make_phantom(SHAPE, np.random.default_rng(5))
    grown = ndimage.maximum_filter(phantom.polarity > 0, size=[2 * reach + 1 for reach in DILATION])
    assert ndimage.label(grown)[1] < phantom.polarity.max() // 2
