"""Which dataset of a container is meant, and what its attributes say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from connectomics.errors import VolumeError
from connectomics.geometry import Spacing
from connectomics.lookup import suggest
from connectomics.volumes.source import Layout, Role, VolumeInfo

USUAL_NAMES: Mapping[Role, tuple[str, ...]] = {
    "image": ("main", "volumes/raw"),
    "label": ("main", "volumes/labels/clefts"),
    "mask": ("main", "volumes/labels/mask"),
}
"""Where each kind of volume lies when the setting names only the file; the second is the CREMI challenge's layout."""


def choose_dataset(path: Path, wanted: str | None, present: Sequence[str], role: Role) -> str:
    """Return the name of the dataset to read.

    Args:
        path: The container, for messages.
        wanted: What the setting names after the colon; None takes the usual name for `role`.
        present: The datasets of the container.
        role: What the volume is used as.

    Raises:
        VolumeError: If the dataset is not there, or several could be meant.
    """
    found = ", ".join(present) if present else "none"
    if wanted is not None:
        name = wanted.strip("/")
        if name in present:
            return name
        raise VolumeError(f"{path} has no dataset {wanted!r}{suggest(name, present)} (datasets there: {found})")
    for name in USUAL_NAMES[role]:
        if name in present:
            return name
    if len(present) == 1:
        return present[0]
    raise VolumeError(
        f"{path} has no dataset {' or '.join(map(repr, USUAL_NAMES[role]))} to take as {role}; "
        f"name one as '{path}:/dataset' (datasets there: {found})"
    )


def describe(path: Path, name: str, shape: Sequence[int], dtype: np.dtype, attributes: Mapping[str, Any]) -> VolumeInfo:
    """Return what a dataset's shape and attributes say; one of (Z, Y, X) has one channel.

    Raises:
        VolumeError: If it is no volume of numbers, or an attribute is not three numbers.
    """
    location = f"{path}:/{name}" if name else str(path)
    if len(shape) not in (3, 4) or min(shape) < 1:
        raise VolumeError(f"{location} has shape {tuple(shape)}; a volume has axes (z, y, x) or (channel, z, y, x)")
    if dtype.kind not in "uifb":
        raise VolumeError(f"{location} holds {dtype}; a volume holds integers or floating-point numbers")
    z, y, x = (int(n) for n in shape[-3:])
    channels = int(shape[0]) if len(shape) == 4 else 1
    spacing = _triple(attributes, "resolution", location)
    if spacing is not None and min(spacing) <= 0:
        raise VolumeError(f"{location}: its attribute `resolution` is {spacing}; voxel sizes are more than 0")
    offset = _triple(attributes, "offset", location) or (0.0, 0.0, 0.0)
    layout: Layout = "cremi" if name.endswith("labels/clefts") else "main"
    return VolumeInfo(location, channels, (z, y, x), dtype, spacing, offset, layout)


def _triple(attributes: Mapping[str, Any], name: str, location: str) -> Spacing | None:
    if name not in attributes:
        return None
    try:
        values = np.asarray(attributes[name], dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise VolumeError(f"{location}: its attribute `{name}` is not three numbers (z, y, x) in nm") from error
    if values.shape != (3,) or not np.isfinite(values).all():
        raise VolumeError(f"{location}: its attribute `{name}` is {values}; it must be three numbers (z, y, x) in nm")
    z, y, x = (float(value) for value in values)
    return z, y, x
