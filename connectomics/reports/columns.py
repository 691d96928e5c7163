"""The columns of the tables of objects: what each holds, and with how many digits it is written."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from math import prod
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from connectomics.geometry import Spacing
from connectomics.metrics.components import Components
from connectomics.metrics.outcomes import Outcomes

AXES = ("z", "y", "x")

Kind = Literal["whole", "number", "truth", "text"]


@dataclass(frozen=True, slots=True)
class Column:
    """One column."""

    name: str
    meaning: str
    """What it holds, in which unit; what an empty cell means."""
    kind: Kind
    digits: str = ""
    """Format of a number, such as ".3f"."""

    def cell(self, value: Any) -> str:
        """Return a value as CSV holds it; None is an empty cell."""
        if value is None:
            return ""
        if self.kind == "truth":
            return "true" if value else "false"
        return format(value, self.digits)


def position_columns(name: str, meaning: str, digits: str = ".1f") -> tuple[Column, ...]:
    """Return the columns of a position: along (z, y, x), in voxels and in nm."""
    kind: Kind = "number" if digits else "whole"
    return (
        *(Column(f"{name}_{axis}", f"{meaning} along {axis}, in voxels from the first one", kind, digits)
          for axis in AXES),
        *(Column(f"{name}_{axis}_nm", "the same in nm, with the offset of the volume", "number", ".1f")
          for axis in AXES),
    )  # fmt: skip


def position(name: str, voxel: NDArray, spacing_nm: Spacing, offset_nm: Spacing) -> dict[str, Any]:
    """Return the cells of a position along (z, y, x): in voxels from the first one, in nm with the offset."""
    length = voxel * np.asarray(spacing_nm) + np.asarray(offset_nm)
    names = [f"{name}_{axis}{unit}" for unit in ("", "_nm") for axis in AXES]
    return dict(zip(names, [*voxel.tolist(), *length.tolist()], strict=True))


def names_of(columns: Iterable[Column]) -> list[str]:
    """Return the names of columns."""
    return [column.name for column in columns]


VOXELS = Column("voxels", "size, in voxels", "whole")
VOLUME = Column("volume_um3", "size, in cubic micrometres", "number", ".4g")
BORDER = Column("touches_border", "whether it reaches the end of the volume, and may go on beyond", "truth")
OUTCOME_COLUMNS = (
    Column("outcome", "found, poorly outlined, merged, split or invented; empty without a label", "text"),
    Column("annotated_ids", "the annotated synapses that it lies on, by their ids in annotated.csv, most shared voxels "
           "first", "text"),
    Column("iou", "intersection over union with the first of them; empty without one", "number", ".3f"),
)  # fmt: skip


def volume_um3(voxels: int, spacing_nm: Spacing) -> float:
    """Return the size of a number of voxels, in cubic micrometres."""
    return voxels * prod(spacing_nm) / 1e9


def outcome_cells(index: int, outcomes: Outcomes | None, truth: Components) -> dict[str, Any]:
    """Return the cells of `OUTCOME_COLUMNS` for a predicted object."""
    if outcomes is None:
        return {"outcome": None, "annotated_ids": None, "iou": None}
    joined = outcomes.joined
    own = np.flatnonzero(joined.predicted == index)
    own = own[np.argsort(-joined.shared[own], kind="stable")]
    partner = outcomes.partner[index]
    return {
        "outcome": str(outcomes.predicted[index]),
        "annotated_ids": " ".join(str(number) for number in truth.numbers[joined.truth[own]]) or None,
        "iou": None if partner < 0 else float(joined.iou[partner]),
    }
