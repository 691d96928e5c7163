"""What a table of objects is made from, and what its rows have in common."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from connectomics.geometry import Spacing
from connectomics.metrics import LabelPair
from connectomics.metrics.label_pair import Labels
from connectomics.metrics.matching import MatchRule
from connectomics.volumes.sections import Sections

Row = Mapping[str, Any]
"""A row by the names of its columns; None is an empty cell."""

AXES = ("z", "y", "x")


@dataclass(frozen=True, slots=True, eq=False)
class Found:
    """What a table is made of."""

    labels: Labels
    """The labels as they are scored, without the voxels that nobody annotated, (Z, Y, X)."""
    pair: LabelPair | None
    """The labels with the annotated ones; None without a label."""
    probability: Iterable[Sections]
    """The prediction, (C, n, Y, X), section by section, in order and in whole planes."""
    foreground: Callable[[NDArray[np.float32]], NDArray[np.float32]]
    """Maps (C, n, Y, X) to the probability that a voxel belongs to any object, (n, Y, X)."""
    spacing_nm: Spacing
    offset_nm: Spacing
    """Position of the first voxel along (z, y, x), in nm."""
    rule: MatchRule
    """When a predicted and an annotated object are the same one."""
    channels: tuple[str, ...]
    """Names of the channels of the prediction."""


def position_columns(name: str) -> tuple[str, ...]:
    """Return the names of the columns of a position: along (z, y, x), in voxels and in nm."""
    return tuple(f"{name}_{axis}{unit}" for unit in ("", "_nm") for axis in AXES)


def position(name: str, voxel: NDArray, found: Found) -> dict[str, Any]:
    """Return the columns of a position along (z, y, x): in voxels from the first one, in nm with the offset."""
    length = voxel * np.asarray(found.spacing_nm) + np.asarray(found.offset_nm)
    return dict(zip(position_columns(name), [*voxel.tolist(), *length.tolist()], strict=True))
