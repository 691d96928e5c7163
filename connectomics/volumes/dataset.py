"""Which dataset of a container is meant, and what is known about it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from connectomics.errors import VolumeError
from connectomics.lookup import suggest
from connectomics.volumes.axes import Axes
from connectomics.volumes.source import Layout, Role, VolumeInfo
from connectomics.volumes.stated import Stated
from connectomics.volumes.units import require_plausible

USUAL_NAMES: Mapping[Role, tuple[str, ...]] = {
    "image": ("main", "volumes/raw"),
    "label": ("main", "volumes/labels/clefts"),
    "mask": ("main", "volumes/labels/mask"),
}
"""Where each kind of volume lies when the setting names only the file; the second name is that of the CREMI
challenge."""

KINDS: Mapping[str, str] = {
    "raw": "image", "image": "image", "images": "image", "em": "image", "grayscale": "image",
    "clefts": "label", "cleft": "label", "label": "label", "labels": "label", "synapses": "label",
    "mask": "mask", "masks": "mask",
    "neuron_ids": "neurons", "neurons": "neurons",
}  # fmt: skip
"""Last part of a dataset's name to what the dataset holds; one that holds something else is never guessed."""

MOST_NAMED = 12
"""How many datasets a message lists."""


def choose_dataset(
    path: Path, wanted: str | None, present: Sequence[str], role: Role, usual: str | None = None
) -> tuple[str, str]:
    """Return the name of the dataset to read, and what to report about the choice.

    Args:
        path: The container, for messages.
        wanted: What the setting names after the colon; None takes the usual name for `role`.
        present: The datasets of the container.
        role: What the volume is used as.
        usual: What the container itself says is its volume: level 0 of an OME-Zarr.

    Raises:
        VolumeError: If the dataset is not there, or several could be meant, or the only one holds another thing.
    """
    found = _listed(present)
    if wanted is not None:
        name = wanted.strip("/")
        if name in present:
            return name, ""
        raise VolumeError(f"{path} has no dataset {wanted!r}{suggest(name, present)} (datasets there: {found})")
    for name in USUAL_NAMES[role]:
        if name in present:
            return name, ""
    if usual is not None:
        return usual, f"{usual}, level 0 of this OME-Zarr, is taken as {role}"
    if len(present) == 1:
        return _only(path, present[0], role)
    raise VolumeError(
        f"{path} has no dataset {' or '.join(map(repr, USUAL_NAMES[role]))} to take as {role}; "
        f"name one as '{path}:/dataset' (datasets there: {found})"
    )


def _only(path: Path, name: str, role: Role) -> tuple[str, str]:
    kinds = [KINDS[part] for part in reversed(name.lower().split("/")) if part in KINDS]
    if kinds and kinds[0] != role:
        raise VolumeError(
            f"{path} holds only {name}, which by its name is no {role}; if it is meant as {role}, name it: "
            f"'{path}:/{name}'"
        )
    return name, f"{name}, the only dataset, is taken as {role}"


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
    return ", ".join(names[:MOST_NAMED]) + more if names else "none"


def locate(path: Path, name: str) -> str:
    """Return file and dataset as a person would name them."""
    return f"{path}:/{name}" if name else str(path)


def describe(
    location: str,
    axes: Axes,
    dtype: np.dtype,
    stated: Stated,
    attributes: Mapping[str, Any],
    layout: Layout = "main",
    notes: Sequence[str] = (),
    files: Sequence[Path] = (),
) -> VolumeInfo:
    """Return what is known of a volume.

    Raises:
        VolumeError: If it is no volume of numbers, or its voxels have a size that none can have.
    """
    if min(axes.stored) < 1:
        raise VolumeError(f"{location} has shape {axes.stored}; there is no voxel in it")
    if dtype.kind not in "uifb":
        raise VolumeError(f"{location} holds {dtype}; a volume holds integers or floating-point numbers")
    if stated.spacing_nm is not None:
        require_plausible(stated.spacing_nm, f"{location} states")
    told = tuple(note for note in (*notes, axes.remark, *stated.notes) if note)
    return VolumeInfo(
        location, axes.channels, axes.shape, dtype, stated.spacing_nm, stated.offset_nm or (0.0, 0.0, 0.0), layout,
        told, tuple(files), attributes,
    )  # fmt: skip
