"""Probabilities of pre, post and union become numbered synapses with two sides."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from connectomics.config.data import TargetConfig
from connectomics.data.targets import build_target
from connectomics.decoding.polarity2instance import decode_classes, decode_sides, number_synapses
from connectomics.sides import POST, PRE
from connectomics.volumes.side_ids import split_sides

IN_PLANE = (1, 5, 5)
FACES = ndimage.generate_binary_structure(3, 1)


def synapses_on_a_lattice(sections: int, rows: int, columns: int) -> np.ndarray:
    """A label of tiny synapses that never touch, numbered in the order of the volume: pre left, post right."""
    label = np.zeros((2 * sections, 5 * rows, 6 * columns), np.uint64)
    k = np.arange(1, sections * rows * columns + 1, dtype=np.uint64).reshape(sections, rows, columns)
    label[::2, ::5, ::6] = 2 * k - 1
    label[::2, ::5, 1::6] = 2 * k
    return label


def target_of(label: np.ndarray, exclusive: bool = False) -> np.ndarray:
    target = build_target(TargetConfig(type="polarity", kwargs={"exclusive": exclusive}))
    return target.channels(target.encode(label[np.newaxis], "main"))


def probability(*channels: list[float]) -> np.ndarray:
    return np.array(channels, np.float32)[:, np.newaxis, np.newaxis]


def ids_of(*channels: list[float], threshold: float = 0.5) -> list[int]:
    """Ids of a row of voxels, from its probabilities of pre, post and union."""
    return decode_sides(probability(*channels), threshold, 0, IN_PLANE).ravel().tolist()


@pytest.mark.parametrize(("lattice", "synapses"), [((2, 10, 10), 200), ((70, 20, 50), 70_000)])
@pytest.mark.parametrize("exclusive", [False, True])
def test_every_synapse_has_ids_of_its_own_however_many_there_are(
    lattice: tuple[int, int, int], synapses: int, exclusive: bool
) -> None:
    label = synapses_on_a_lattice(*lattice)
    decode = decode_classes if exclusive else decode_sides
    decoded = decode(target_of(label, exclusive), 0.5, 0, (1, 3, 3))
    ids = np.unique(decoded)[1:]
    assert decoded.dtype == np.uint64
    assert len(ids) == 2 * synapses
    np.testing.assert_array_equal(ids % 2 == 1, np.tile([True, False], synapses))
    np.testing.assert_array_equal(decoded, label)


def test_a_voxel_belongs_to_a_side_where_the_side_and_the_union_reach_the_threshold() -> None:
    assert ids_of([0.3, 0.29, 0.9, 0.9], [0, 0, 0, 0], [0.3, 0.9, 0.29, 0.9], threshold=0.3) == [1, 0, 0, 1]


def test_where_the_sides_overlap_the_more_probable_one_takes_the_voxel() -> None:
    assert ids_of([0.9, 0.8, 0.7, 0.6], [0.6, 0.7, 0.7, 0.8], [1, 1, 1, 1]) == [1, 1, 1, 2]


def test_the_less_probable_side_keeps_the_voxels_that_the_other_does_not_reach() -> None:
    assert ids_of([0.49, 0.2], [0.6, 0.5], [0.5, 0.5]) == [2, 2]


def test_classes_that_exclude_each_other_are_told_by_the_larger_and_found_by_their_sum() -> None:
    given = probability([0.4, 0.6, 0.5, 0.5], [0.35, 0.3, 0.25, 0.1], [0.25, 0.1, 0.25, 0.4])
    assert decode_classes(given, 0.5, 0, IN_PLANE).ravel().tolist() == [1, 0, 1, 2]


def test_a_synapse_of_one_side_keeps_its_number_and_that_side() -> None:
    nothing = [0.0] * 7
    assert ids_of([1, 0, 0, 0, 0, 0, 0], [0, 0, 0, 0, 0, 0, 1], [1, 0, 0, 0, 0, 0, 1]) == [1, 0, 0, 0, 0, 0, 4]
    assert ids_of(nothing, [0, 0, 0, 1, 0, 0, 0], [0, 0, 0, 1, 0, 0, 0]) == [0, 0, 0, 2, 0, 0, 0]


def test_where_only_the_union_is_probable_there_is_no_id_and_no_number_is_spent() -> None:
    assert ids_of([0] * 7 + [1], [0] * 8, [1, 1, 0, 0, 0, 0, 0, 1]) == [0] * 7 + [1]


def test_the_union_reaches_two_pixels_in_the_plane_and_none_across_sections() -> None:
    for gap, synapses in ((4, 1), (5, 2)):
        row = [1.0] + [0.0] * gap + [1.0]
        assert np.unique(ids_of(row, [0] * len(row), row))[1:].tolist() == [1, 3][:synapses]
    column = np.zeros((3, 3, 1, 1), np.float32)
    column[0, [0, 2]] = column[2, [0, 2]] = 1
    assert decode_sides(column, 0.5, 0, IN_PLANE).ravel().tolist() == [1, 0, 3]
    assert decode_sides(column, 0.5, 0, (3, 1, 1)).ravel().tolist() == [1, 0, 1]


def test_a_union_that_is_wider_than_the_sides_joins_them() -> None:
    assert ids_of([1] + [0] * 9, [0] * 9 + [1], [1] * 10) == [1] + [0] * 8 + [2]


def test_touching_synapses_become_one_with_two_sides() -> None:
    label = np.array([1, 1, 2, 2, 3, 3, 4, 4], np.uint64).reshape(1, 1, 8)
    assert decode_sides(target_of(label), 0.5, 0, IN_PLANE).ravel().tolist() == [1, 1, 2, 2, 1, 1, 2, 2]


@pytest.mark.parametrize("corner", [0, -1])
def test_a_synapse_in_a_corner_of_the_volume_is_found(corner: int) -> None:
    label = np.zeros((4, 6, 7), np.uint64)
    label[corner, corner, corner], label[corner, corner, 1 if corner == 0 else -2] = 1, 2
    np.testing.assert_array_equal(decode_sides(target_of(label), 0.5, 0, IN_PLANE), label)


@pytest.mark.parametrize("decode", [decode_sides, decode_classes])
def test_an_empty_volume_has_no_synapse(decode) -> None:
    ids = decode(np.zeros((3, 2, 3, 4), np.float32), 0.5, 128, IN_PLANE)
    assert ids.shape == (2, 3, 4)
    assert not ids.any()


def test_objects_of_a_side_below_the_least_size_go_and_those_of_that_size_stay() -> None:
    label = np.zeros((3, 12, 40), np.uint64)
    label[1, 2:10, :16], label[1, 2:10, 16:32] = 1, 2  # 128 voxels each
    label[1, 9, 31] = 0  # now post has 127
    decoded = decode_sides(target_of(label), 0.5, 128, IN_PLANE)
    np.testing.assert_array_equal(decoded, np.where(label == 1, label, 0))
    np.testing.assert_array_equal(decode_sides(target_of(label), 0.5, 127, IN_PLANE), label)


def test_voxels_that_share_only_an_edge_are_two_objects() -> None:
    label = np.zeros((1, 4, 4), np.uint64)
    label[0, :2, :2] = label[0, 2:, 2:] = 1
    assert not decode_sides(target_of(label), 0.5, 5, IN_PLANE).any()
    assert decode_sides(target_of(label), 0.5, 4, IN_PLANE).any()


fields = st.integers(0, 2**32 - 1).map(lambda seed: np.random.default_rng(seed).random((3, 4, 9, 11)))


@settings(max_examples=40, deadline=None)
@given(fields, st.sampled_from([(1, 5, 5), (3, 3, 3), (1, 1, 1)]), st.integers(0, 6))
def test_decoding_equals_the_rules_taken_one_by_one(
    field: np.ndarray, box: tuple[int, int, int], min_size: int
) -> None:
    probability = ndimage.gaussian_filter(field, (0, 0.5, 1, 1)).astype(np.float32)
    decoded = decode_sides(probability, 0.5, min_size, box)
    pre, post, union = probability >= 0.5
    sides = np.zeros(pre.shape, int)
    for place in np.argwhere(union & (pre | post)):
        z, y, x = place
        more_pre = probability[0, z, y, x] >= probability[1, z, y, x]
        sides[z, y, x] = PRE if pre[z, y, x] and (more_pre or not post[z, y, x]) else POST
    for side in (PRE, POST):
        objects, count = ndimage.label(sides == side, FACES)
        for i in range(1, count + 1):
            if (objects == i).sum() < min_size:
                sides[objects == i] = 0
    components, _ = ndimage.label(ndimage.binary_dilation(union, np.ones(box)), FACES)
    expected = np.zeros(pre.shape, np.uint64)
    for k, component in enumerate(np.unique(components[sides > 0]), 1):
        expected = np.where((components == component) & (sides > 0), 2 * (k - 1) + sides, expected)
    np.testing.assert_array_equal(decoded, expected)


@settings(max_examples=40, deadline=None)
@given(fields)
def test_sides_keep_their_parity_and_numbers_have_no_gap(field: np.ndarray) -> None:
    sides = np.digitize(field[0], [0.6, 0.8]).astype(np.uint8)
    ids = number_synapses(sides, sides > 0, IN_PLANE)
    np.testing.assert_array_equal(split_sides(ids), sides)
    numbers = np.unique((ids[ids > 0] + np.uint64(1)) // np.uint64(2))
    assert numbers.tolist() == list(range(1, len(numbers) + 1))
