"""The unit in which squared distances between voxel centres are whole numbers."""

import numpy as np
import pytest

from connectomics.metrics.lattice import build_lattice


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
