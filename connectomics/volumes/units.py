"""Units of length that files state, in nanometres."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from connectomics.errors import VolumeError
from connectomics.geometry import Spacing

NANOMETRES: Mapping[str, float] = {
    "pm": 1e-3, "picometer": 1e-3,
    "å": 0.1, "a": 0.1, "angstrom": 0.1, "ångström": 0.1, "angström": 0.1, "ångstrom": 0.1,
    "nm": 1.0, "nanometer": 1.0,
    "um": 1e3, "μm": 1e3, "micrometer": 1e3, "micron": 1e3,
    "mm": 1e6, "millimeter": 1e6,
    "cm": 1e7, "centimeter": 1e7,
    "in": 2.54e7, "inch": 2.54e7, "inche": 2.54e7,
    "m": 1e9, "meter": 1e9,
}  # fmt: skip
"""Units in nm; upper and lower case, -meter and -metre, singular and plural are the same."""

NO_LENGTH = ("", "pixel", "px", "voxel", "none", "null", "unspecified", "unknown", "dimensionless", "arbitrary", "unit",
             "reference frame")  # fmt: skip
"""Words that stand in place of a unit where nobody calibrated the voxels."""

SMALLEST_NM, LARGEST_NM = 0.1, 1e5
"""Smallest and largest plausible voxel size, in nm."""

USUAL_NM = (0.5, 5000.0)
"""Usual voxel sizes of electron microscopy, in nm; they tell which unit numbers without one are likely in."""


def nanometres_of(unit: Any, location: str) -> float | None:
    """Return how many nanometres a unit has; None for what is not a length, such as "pixel".

    Raises:
        VolumeError: If nobody knows the unit.
    """
    text = unit.decode("utf-8", "replace") if isinstance(unit, bytes) else str(unit)
    name = unicodedata.normalize("NFKC", text.replace("\\u00B5", "µ")).strip().casefold().replace("metre", "meter")
    for known in (name, name.removesuffix("s")):
        if known in NANOMETRES:
            return NANOMETRES[known]
        if known in NO_LENGTH:
            return None
    raise VolumeError(f"{location} states lengths in {text!r}; known are nm, um, mm, cm, m, angstrom, inch")


def rounded(length_nm: float) -> float:
    """Return a length without the rounding error of a change of units."""
    return float(f"{length_nm:.12g}")


def require_plausible(spacing_nm: Sequence[float], what: str) -> None:
    """Refuse a voxel that is smaller than 0.1 nm or larger than 100 um.

    Args:
        spacing_nm: Voxel size along (z, y, x).
        what: Who states it, for the message.

    Raises:
        VolumeError: With the unit that was likely meant.
    """
    if all(np.isfinite(s) and SMALLEST_NM <= s <= LARGEST_NM for s in spacing_nm):
        return
    low, high = USUAL_NM
    units = ("um", "mm", "m", "angstrom", "pm")
    likely = [unit for unit in units if all(low <= s * NANOMETRES[unit] <= high for s in spacing_nm)]
    hint = (
        f"these look like {likely[0]}: give nm, or write the attribute `units` = {likely[0]!r} into the file"
        if likely
        else "are they in another unit? The attribute `units` of a file says which"
    )
    raise VolumeError(
        f"{what} a voxel size of {_written(spacing_nm)} nm (z, y, x); voxels have 0.1 nm to 100 um; {hint}"
    )


def _written(spacing: Sequence[float]) -> str:
    return f"({', '.join(f'{s:g}' for s in spacing)})"


def as_spacing(lengths: Sequence[float]) -> Spacing:
    """Return three lengths as a triple."""
    z, y, x = (rounded(float(length)) for length in lengths)
    return z, y, x
