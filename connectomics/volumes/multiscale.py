"""OME-Zarr, 0.1 to 0.5: which array of a group is the volume, and where its voxels lie."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from connectomics.errors import VolumeError
from connectomics.geometry import Spacing
from connectomics.volumes.axes import Axes, letters_of
from connectomics.volumes.stated import Stated
from connectomics.volumes.units import as_spacing, nanometres_of


@dataclass(frozen=True, slots=True)
class Level:
    """One resolution of an image."""

    path: str
    """Path of the array, below the group."""
    letters: str | None
    """Letters of the axes; None where the version states none."""
    units: tuple[Any, ...]
    steps: tuple[Mapping[str, Any], ...]
    """Transformations from voxels to lengths, in the order in which they are applied."""


def read_levels(attributes: Mapping[str, Any], location: str) -> list[Level]:
    """Return the levels that attributes of a group state, the finest first; none if the group is not multiscale.

    Raises:
        VolumeError: If what is stated is not as OME-Zarr has it.
    """
    ome = attributes.get("ome")
    stated = (ome if isinstance(ome, Mapping) else attributes).get("multiscales")
    if not stated:
        return []
    try:
        first = stated[0]
        axes = first.get("axes")
        names = None if axes is None else [a["name"] if isinstance(a, Mapping) else str(a) for a in axes]
        units = tuple(a.get("unit") if isinstance(a, Mapping) else None for a in axes or ())
        after = tuple(first.get("coordinateTransformations") or ())
        return [
            Level(
                str(level["path"]).strip("/"),
                None if names is None else letters_of(names),
                units,
                (*(level.get("coordinateTransformations") or ()), *after),
            )
            for level in first["datasets"]
        ]
    except (LookupError, TypeError, AttributeError) as error:
        raise VolumeError(f"{location}: its `multiscales` is not as OME-Zarr has it: {error!r}") from error


def place_level(level: Level, axes: Axes, location: str) -> Stated:
    """Return voxel size and offset of a level.

    Raises:
        VolumeError: If its transformations are not scales and translations with a number for each axis.
    """
    n = len(axes.stored)
    scale, shift, said = [1.0] * n, [0.0] * n, False
    for step in level.steps:
        kind = step.get("type") if isinstance(step, Mapping) else None
        if kind == "identity":
            continue
        values = _numbers(step.get(kind), n) if isinstance(step, Mapping) and kind in ("scale", "translation") else None
        if values is None:
            raise VolumeError(f"{location}: its coordinateTransformations hold {step}; a scale or translation of {n} "
                              "numbers is read")  # fmt: skip
        if kind == "scale":
            said = True
            scale = [a * b for a, b in zip(scale, values, strict=True)]
            shift = [a * b for a, b in zip(shift, values, strict=True)]
        else:
            shift = [a + b for a, b in zip(shift, values, strict=True)]
    return _in_nanometres(scale, shift, said, level, axes, location)


def _in_nanometres(
    scale: Sequence[float], shift: Sequence[float], said: bool, level: Level, axes: Axes, location: str
) -> Stated:
    spacing, offset = axes.spatial(scale), axes.spatial(shift)
    if not said or spacing is None or offset is None:
        return Stated()
    units = [level.units[p] if p is not None and p < len(level.units) else None for p in axes.places[1:]]
    notes: tuple[str, ...] = ()
    if None in units:
        if set(spacing) == {1.0}:  # what libraries write where nobody stated a scale
            return Stated()
        notes = ("its scale states no unit; it is taken as nm",)
    factors = [1.0 if unit is None else nanometres_of(unit, location) for unit in units]
    if None in factors:
        return Stated()
    if min(spacing) <= 0:
        raise VolumeError(f"{location}: its scale is {spacing}; voxel sizes are more than 0")
    known = [factor for factor in factors if factor is not None]
    z, y, x = (float(f"{o * f:.12g}") for o, f in zip(offset, known, strict=True))
    at: Spacing = (z, y, x)
    return Stated(as_spacing([s * f for s, f in zip(spacing, known, strict=True)]), at, notes)


def _numbers(value: Any, n: int) -> list[float] | None:
    if not isinstance(value, list | tuple) or len(value) != n:
        return None
    try:
        return [float(number) for number in value]
    except (TypeError, ValueError):
        return None
