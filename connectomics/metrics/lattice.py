"""The unit in which squared distances between voxel centres are whole numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import gcd, isfinite, lcm

from connectomics.geometry import Spacing

LARGEST_EXACT = 2**53
"""Whole numbers up to this one are exact in float64, and so are their sums and products."""


@dataclass(frozen=True, slots=True)
class Lattice:
    """Voxel centres on a grid: `squared = sum(weights * offset**2)`, a length of `unit_nm * sqrt(squared)`.

    At (40, 4, 4) nm the unit is 4 nm and the weights are (100, 1, 1).
    """

    unit_nm: float
    weights: tuple[float, float, float]

    def squared(self, length_nm: float) -> float:
        """Return the squared length in this lattice's unit; it is whole wherever a distance can equal it."""
        return float((_decimal(length_nm) / _decimal(self.unit_nm)) ** 2)


def build_lattice(spacing_nm: Spacing, shape: Sequence[int]) -> Lattice:
    """Find the largest length that divides the voxel size along every axis.

    A voxel size is taken as the decimal that it prints as, so 4.6 is 23/5 and not the binary fraction beside it.
    Where no common length leaves every squared distance of the volume exact in float64 (a size that was rounded to
    float32, say), the unit is 1 nm and a squared distance carries the rounding of float64, one part in 10^15.

    Args:
        spacing_nm: Voxel size along (z, y, x), in nanometres.
        shape: Extent of the volume along (z, y, x), in voxels.

    Raises:
        ValueError: If a voxel size is not a positive number.
    """
    if not all(isfinite(size) and size > 0 for size in spacing_nm):
        raise ValueError(f"the voxel size is {tuple(spacing_nm)} nm; each must be a positive number")
    sizes = [_decimal(size) for size in spacing_nm]
    scale = lcm(*(size.denominator for size in sizes))
    steps = [int(size * scale) for size in sizes]
    unit = Fraction(gcd(*steps), scale)
    whole = [int(size / unit) ** 2 for size in sizes]
    if sum(weight * extent**2 for weight, extent in zip(whole, shape, strict=True)) < LARGEST_EXACT:
        return Lattice(float(unit), (float(whole[0]), float(whole[1]), float(whole[2])))
    z, y, x = (float(size) ** 2 for size in spacing_nm)
    return Lattice(1.0, (z, y, x))


def _decimal(length: float) -> Fraction:
    """Return a length as the decimal fraction that it prints as."""
    return Fraction(repr(float(length)))
