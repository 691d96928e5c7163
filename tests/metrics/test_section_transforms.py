"""The transform of one section is exact, whatever its shape, and so is the unit it is counted in."""

from __future__ import annotations

import numpy as np
import pytest

from connectomics.metrics import sections
from connectomics.metrics.lattice import build_lattice
from connectomics.metrics.sections import LARGEST_SQUARED_DIAGONAL, transform_section


def squared_to_one(shape: tuple[int, int], at: tuple[int, int]) -> np.ndarray:
    rows, columns = np.ogrid[: shape[0], : shape[1]]
    return (rows - at[0]) ** 2 + (columns - at[1]) ** 2


@pytest.mark.parametrize("shape", [(1250, 1250), (3, 1278), (1278, 2), (1, 1700), (1700, 1), (1, 1), (900, 1500)])
def test_squared_distances_to_a_single_pixel_are_exact(shape: tuple[int, int]) -> None:
    for at in ((0, 0), (shape[0] - 1, shape[1] // 3), (shape[0] // 2, shape[1] - 1)):
        targets = np.zeros(shape, bool)
        targets[at] = True
        np.testing.assert_array_equal(transform_section(targets, (1, 1)), squared_to_one(shape, at))


@pytest.mark.parametrize("seed", range(30))
def test_squared_distances_to_a_few_pixels_are_exact(seed: int) -> None:
    rng = np.random.default_rng(seed)
    height, width = rng.integers(1, 1200, 2) if seed % 2 else rng.permutation([rng.integers(1, 8), 1600])
    pixels = [(rng.integers(height), rng.integers(width)) for _ in range(rng.integers(1, 7))]
    targets = np.zeros((height, width), bool)
    targets[tuple(np.transpose(pixels))] = True
    expected = np.min([squared_to_one((height, width), at) for at in pixels], axis=0)
    np.testing.assert_array_equal(transform_section(targets, (1, 1)), expected)


def test_every_squared_distance_up_to_the_limit_survives_float32() -> None:
    whole = np.arange(LARGEST_SQUARED_DIAGONAL + 1, dtype=np.float32)
    root = np.sqrt(whole)
    np.testing.assert_array_equal(np.rint(root * root), whole)


def test_a_section_beyond_the_limit_is_transformed_as_exactly(monkeypatch: pytest.MonkeyPatch) -> None:
    targets = np.random.default_rng(0).random((70, 90)) < 0.01
    small = transform_section(targets, (1, 1))
    monkeypatch.setattr(sections, "LARGEST_SQUARED_DIAGONAL", 0)
    large = transform_section(targets, (1, 1))
    assert (small.dtype, large.dtype) == (np.float32, np.float64)
    np.testing.assert_array_equal(small, large)


def test_pixels_that_are_not_square_are_weighted_apart() -> None:
    targets = np.zeros((5, 7), bool)
    targets[1, 2] = True
    rows, columns = np.ogrid[:5, :7]
    np.testing.assert_array_equal(transform_section(targets, (4, 9)), 4.0 * (rows - 1) ** 2 + 9.0 * (columns - 2) ** 2)


@pytest.mark.parametrize(
    ("spacing", "unit", "weights"),
    [
        ((40, 4, 4), 4, (100, 1, 1)),
        ((50, 4.6, 4.6), 0.2, (62500, 529, 529)),
        ((29, 8, 8), 1, (841, 64, 64)),
        ((0.3, 0.1, 0.2), 0.1, (9, 1, 4)),
    ],
)
def test_squared_distances_are_counted_in_the_common_length(
    spacing: tuple[float, float, float], unit: float, weights: tuple[float, float, float]
) -> None:
    lattice = build_lattice(spacing, (125, 1250, 1250))
    assert (lattice.unit_nm, lattice.weights) == (unit, weights)
    assert lattice.squared(200) == (200 / unit) ** 2


def test_without_a_common_length_the_unit_is_one_nanometre() -> None:
    size = float(np.float32(4.6))
    lattice = build_lattice((50, size, size), (125, 1250, 1250))
    assert (lattice.unit_nm, lattice.weights) == (1, (2500, size**2, size**2))
