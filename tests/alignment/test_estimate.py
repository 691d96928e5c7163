"""Shifts that are known are found, bad sections too, within a memory that does not grow with the stack."""

import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from connectomics.alignment.correlate import Displacement, find_displacement, similarity
from connectomics.alignment.estimate import estimate_alignment
from connectomics.alignment.section_positions import Pair, find_bad_sections, solve_positions
from connectomics.alignment.section_views import view_section
from connectomics.alignment.stack import Stack
from connectomics.errors import VolumeError
from connectomics.volumes.read import open_volume
from connectomics.volumes.source import ArraySource
from tests.tissue import draw_tissue, write_challenge


def stack_of(voxels: np.ndarray) -> Stack:
    return Stack(ArraySource.of(voxels))


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_shifts_of_a_challenge_volume_are_found_to_a_pixel_and_so_are_its_bad_sections(
    tmp_path: Path, seed: int
) -> None:
    # An eighth of the challenge's planes: jumps of 200 pixels become 25, the drift of 1,000 becomes 125.
    challenge = write_challenge(
        tmp_path / "sample.hdf", np.random.default_rng(seed), (48, 384, 384), jump=25, drift=125
    )
    stack = Stack(open_volume(str(challenge.path)))
    alignment = estimate_alignment(stack, range(len(stack)))
    assert tuple(alignment.bad) == tuple(alignment.table.replaced) == challenge.bad
    good = [z for z in range(len(stack)) if z not in challenge.bad]
    wrong = (alignment.table.shifts - challenge.shifts)[good]
    wrong -= np.median(wrong, axis=0).astype(int)  # where the stack as a whole lies is nobody's to say
    assert (np.abs(wrong).max(1) <= 1).mean() >= 0.95


@pytest.mark.parametrize("shift", [(0, 0), (1, 0), (-37, 52), (120, -9)])
def test_a_displacement_up_to_a_third_of_the_view_is_found_to_the_pixel(shift: tuple[int, int]) -> None:
    a, b = draw_tissue((2, 360, 400), np.array([(0, 0), shift]), np.random.default_rng(3))
    found = find_displacement(view_section(a), view_section(b))
    np.testing.assert_allclose((found.y, found.x), shift, atol=0.3)
    assert found.similarity > 0.5


def test_swapping_two_sections_turns_the_displacement_round() -> None:
    a, b = (view_section(s) for s in draw_tissue((2, 300, 280), np.array([(0, 0), (7, -12)]), np.random.default_rng(4)))
    there, back = find_displacement(a, b), find_displacement(b, a)
    np.testing.assert_allclose((there.y, there.x), (-back.y, -back.x), atol=0.2)
    assert there.similarity == pytest.approx(back.similarity, abs=1e-3)


def test_similarity_is_the_correlation_of_what_both_show() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.random((2, 20, 30))
    expected = np.corrcoef(a[:17, 5:].ravel(), b[3:, :25].ravel())[0, 1]
    assert similarity(a, b, (3, -5)) == pytest.approx(expected, abs=1e-6)
    assert similarity(a, 1 - 2 * a, (0, 0)) == pytest.approx(-1)
    assert similarity(a, np.ones_like(a), (0, 0)) == 0


def test_a_stack_without_displacements_stays_as_it_is() -> None:
    voxels = np.stack(list(draw_tissue((12, 256, 256), np.zeros((12, 2), np.int64), np.random.default_rng(5))))
    alignment = estimate_alignment(stack_of(voxels), range(12))
    assert not alignment.bad
    assert np.abs(alignment.table.shifts).max() <= 1


@pytest.mark.parametrize("shape", [(1, 64, 64), (2, 40, 200), (3, 17, 90)])
def test_stacks_of_few_or_small_sections_are_aligned_too(shape: tuple[int, int, int]) -> None:
    section = next(draw_tissue((1, *shape[1:]), np.zeros((1, 2), np.int64), np.random.default_rng(7)))
    alignment = estimate_alignment(stack_of(np.broadcast_to(section, shape)), range(shape[0]))
    assert not alignment.bad
    assert not alignment.table.shifts.any()


@pytest.mark.parametrize("dtype", [np.uint16, np.int32, np.float32, np.float64])
def test_grey_values_of_any_type_give_the_same_shifts(dtype: type) -> None:
    shifts = np.array([[0, 0], [5, -7], [-9, 3], [2, 2]])
    voxels = np.stack(list(draw_tissue((4, 200, 220), shifts, np.random.default_rng(8))))
    expected = estimate_alignment(stack_of(voxels), range(4)).table.shifts
    found = estimate_alignment(stack_of(voxels.astype(dtype) * dtype(3)), range(4)).table.shifts
    assert np.abs(expected - expected[0] - shifts).max() <= 1
    assert np.abs(found - expected).max() <= 1


def test_memory_does_not_grow_with_the_number_of_sections() -> None:
    section = next(draw_tissue((1, 256, 256), np.zeros((1, 2), np.int64), np.random.default_rng(6)))
    peaks = []
    for depth in (24, 72):
        stack = stack_of(np.broadcast_to(section, (depth, *section.shape)))
        tracemalloc.start()
        estimate_alignment(stack, range(depth))
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.1 * peaks[0]


def pairs_of(positions: np.ndarray, similarity: float = 0.8) -> list[Pair]:
    return [
        Pair(a, b, Displacement(*(positions[b] - positions[a]).tolist(), similarity, 0.05))
        for a in range(len(positions))
        for b in range(a + 1, min(a + 5, len(positions)))
    ]


def test_displacements_that_agree_give_the_positions_back() -> None:
    positions = np.random.default_rng(0).uniform(-300, 300, (30, 2))
    solved = solve_positions(30, pairs_of(positions), {})
    np.testing.assert_allclose(solved - solved[0], positions - positions[0], atol=1e-5)


def test_a_few_wrong_displacements_are_outvoted() -> None:
    rng = np.random.default_rng(1)
    positions = rng.uniform(-300, 300, (30, 2))
    pairs = pairs_of(positions)
    for at in rng.choice(len(pairs), len(pairs) // 8, replace=False):
        pairs[at] = Pair(
            pairs[at].first, pairs[at].second, Displacement(*rng.uniform(-200, 200, 2).tolist(), 0.8, 0.05)
        )
    solved = solve_positions(30, pairs, {})
    np.testing.assert_allclose(solved - solved[0], positions - positions[0], atol=0.5)


def test_bad_sections_are_bridged_and_what_nothing_bridges_stays_in_place() -> None:
    positions = np.arange(40.0).reshape(20, 2)
    bridged = solve_positions(20, pairs_of(positions), {8: "", 9: "", 10: ""})
    np.testing.assert_allclose((bridged[11] - bridged[7]), positions[11] - positions[7], atol=1e-5)
    apart = [pair for pair in pairs_of(positions) if (pair.first < 10) == (pair.second < 10)]
    loose = solve_positions(20, apart, {})
    np.testing.assert_allclose(loose[10], loose[9], atol=1e-4)


def test_two_bad_sections_that_resemble_each_other_are_found() -> None:
    def alike(pair: Pair) -> float:
        both = {pair.first, pair.second}
        return 0.9 if both == {6, 7} else 0.05 if both & {6, 7} else 0.8 / pair.distance

    pairs = [Pair(p.first, p.second, Displacement(0, 0, alike(p), 0.05)) for p in pairs_of(np.zeros((16, 2)))]
    assert set(find_bad_sections([20.0] * 16, pairs, "stack")) == {6, 7}


def test_sections_that_have_nothing_in_common_are_refused() -> None:
    voxels = np.random.default_rng(0).integers(0, 255, (8, 256, 256), np.uint8)
    with pytest.raises(VolumeError, match=r"do not resemble one another .*--shifts FILE, --no-align"):
        estimate_alignment(stack_of(voxels), range(8))
