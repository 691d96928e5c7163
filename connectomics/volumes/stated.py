"""What a file says about its voxels in attributes, and which of several statements is believed.

Voxel size and offset come from the first of these that states them:

1. OME metadata: `multiscales` of the Zarr group that lists the array (scale and translation of its level, then of all
   levels, in the units of the axes); in TIFF, PhysicalSizeX, Y and Z of the OME XML with their units.
2. Attributes of the dataset itself: `resolution`, `voxel_size`, `element_size_um`, in this order, and `offset`.
3. The same attributes of the groups around it, the nearest first.
4. In TIFF without OME: ImageJ's `spacing`, XResolution and YResolution, where its `unit` is a length. The resolution of
   any other TIFF is meant for printers and is not believed. In NIfTI, pixdim in its unit, and the origin where no axis
   is turned; in MRC, the cell, in angstrom. What programs write by default (1 mm, 1 angstrom) is not believed.
5. The settings (`resolution`, `--resolution`). Where a file has spoken, they must say the same.

Lengths are nanometres, unless `units` or `unit` beside them or around them says otherwise (`element_size_um` is always
in micrometres). Three numbers belong to the axes z, y, x as they are stored; as many as there are axes, one to each.

Axes come from the first of these that names them: OME; `axis_names`, `axes`, `axistags` or `_ARRAY_DIMENSIONS` of the
dataset, the `dimension_names` of Zarr 3, the labels of HDF5 dimensions; in TIFF, OME XML, ImageJ's or tifffile's own;
else (z, y, x), or (channel, z, y, x). Axes of length one are dropped.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from connectomics.errors import VolumeError
from connectomics.geometry import Spacing
from connectomics.volumes.axes import Axes, letters_of
from connectomics.volumes.units import as_spacing, nanometres_of

SIZES: Mapping[str, float | None] = {"resolution": None, "voxel_size": None, "element_size_um": 1e3}
"""Attributes that state a voxel size, in the order in which they are believed, with their unit in nm; None goes by
`units`."""

AXES = ("axis_names", "axes", "axistags", "_ARRAY_DIMENSIONS")


@dataclass(frozen=True, slots=True)
class Node:
    """A dataset, or a group around it."""

    name: str
    """Name of the node in messages."""
    attributes: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Stated:
    """What is stated about a volume's place and voxels."""

    spacing_nm: Spacing | None = None
    offset_nm: Spacing | None = None
    notes: tuple[str, ...] = ()


def axis_letters(attributes: Mapping[str, Any], axes: int) -> str | None:
    """Return the axes that attributes of a dataset name, one letter each; None where they name none, or not as many."""
    if axes == 4 and "channels" in attributes:  # of a prediction that this package wrote
        return "czyx"
    for key in AXES:
        if key not in attributes:
            continue
        value = attributes[key]
        if key == "axistags":
            value = _tags(value)
        if isinstance(value, np.ndarray):
            value = value.tolist()
        if isinstance(value, bytes):
            value = value.decode("utf-8", "replace")
        if isinstance(value, str) and "," in value:
            value = value.split(",")
        if isinstance(value, str | list | tuple) and len(value) == axes:
            letters = letters_of(value)
            if "y" in letters and "x" in letters:
                return letters
    return None


def read_stated(nodes: Sequence[Node], axes: Axes, location: str) -> Stated:
    """Return what the attributes of a dataset, and of the groups around it, say.

    Args:
        nodes: The dataset, then the groups, the nearest first.
        axes: Axes of the dataset.
        location: Name of the dataset, for messages.

    Raises:
        VolumeError: If an attribute of the dataset is not three numbers, or a voxel size is not more than 0.
    """
    sizes = [(f"`{key}`{_of(node)}", size) for node in nodes for key, size in _sizes(node, nodes, axes, location)]
    offset = None
    for node in nodes:
        factors = _factors(node, nodes, axes, location)
        offset = _triple(node, "offset", axes, location) if "offset" in node.attributes and factors else None
        if offset is not None and factors is not None:
            z, y, x = (float(f"{o * f:.12g}") for o, f in zip(offset, factors, strict=True))
            offset = (z, y, x)
            break
    if not sizes:
        return Stated(None, offset)
    key, spacing = sizes[0]
    if min(spacing) <= 0:
        raise VolumeError(f"{location}: its attribute {key} is {spacing}; voxel sizes are more than 0")
    others = [f"{other} says {size}" for other, size in sizes[1:] if not np.allclose(size, spacing, rtol=1e-6)]
    notes = (f"voxels of {spacing} nm by its {key}; {', '.join(others)}, which is not believed",) if others else ()
    return Stated(spacing, offset, notes)


def _sizes(node: Node, nodes: Sequence[Node], axes: Axes, location: str) -> list[tuple[str, Spacing]]:
    found = []
    for key, fixed in SIZES.items():
        values = _triple(node, key, axes, location) if key in node.attributes else None
        factors = (fixed,) * 3 if fixed is not None else _factors(node, nodes, axes, location)
        if values is not None and factors is not None:
            found.append((key, as_spacing([v * f for v, f in zip(values, factors, strict=True)])))
    return found


def _of(node: Node) -> str:
    return f" of {node.name}" if node.name else ""


def _factors(node: Node, nodes: Sequence[Node], axes: Axes, location: str) -> tuple[float, ...] | None:
    """Return what the lengths of a node have in nm, along (z, y, x); None where they are in pixels."""
    for around in nodes[nodes.index(node) :]:
        for key in ("units", "unit"):
            if key in around.attributes:
                return _units(around.attributes[key], axes, location)
    return 1.0, 1.0, 1.0


def _units(value: Any, axes: Axes, location: str) -> tuple[float, ...] | None:
    if isinstance(value, np.ndarray):
        value = value.tolist()
    if isinstance(value, str) and any(separator in value for separator in ",;"):
        value = value.replace(";", ",").strip("[]() ").split(",")
    units = list(value) if isinstance(value, list | tuple) else [value]
    if len(units) == 1:
        units *= 3
    elif len(units) != 3 or None in axes.places[1:] or len(axes.stored) > 3:
        order = axes.spatial(range(len(units)))
        if order is None:
            raise VolumeError(f"{location}: its attribute `units` is {value}; it must be one, or one for each axis")
        units = [units[int(i)] for i in order]
    factors = [nanometres_of(str(unit).strip("' \"") if isinstance(unit, str) else unit, location) for unit in units]
    return None if None in factors else tuple(f for f in factors if f is not None)


def _triple(node: Node, key: str, axes: Axes, location: str) -> Spacing | None:
    """Return an attribute as three numbers (z, y, x); that of a group that is none is another thing of that name."""
    value = node.attributes[key]
    try:
        numbers = np.asarray(value)
        if numbers.dtype == np.float32:  # 4.6 is meant, not 4.599999904632568
            numbers = np.array([float(str(number)) for number in numbers.reshape(-1)]).reshape(numbers.shape)
        numbers = numbers.astype(np.float64)
    except (TypeError, ValueError, OverflowError) as error:
        if node.name:
            return None
        raise VolumeError(f"{location}: its attribute `{key}` is not three numbers (z, y, x) in nm") from error
    spatial = axes.spatial(numbers.tolist()) if numbers.ndim == 1 and np.isfinite(numbers).all() else None
    if spatial is None and not node.name:
        raise VolumeError(f"{location}: its attribute `{key}` is {numbers}; it must be three numbers (z, y, x) in nm")
    return spatial


def _tags(value: Any) -> list[str]:
    """Return the axes of a dataset that ilastik or vigra wrote."""
    try:
        return [str(axis["key"]) for axis in json.loads(value)["axes"]]
    except (ValueError, TypeError, KeyError):
        return []
