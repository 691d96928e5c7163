"""One row per synapse with sides: their places, sizes and probabilities, and its direction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from connectomics.geometry import Spacing
from connectomics.metrics.label_pair import Labels
from connectomics.reports.columns import (
    AXES,
    BORDER,
    OUTCOME_COLUMNS,
    VOLUME,
    VOXELS,
    Column,
    names_of,
    outcome_cells,
    position,
    position_columns,
    volume_um3,
)
from connectomics.reports.found import Found, Row

SIDES = ("pre", "post")

MOST_NAMED = 10
"""How many synapses a remark names one by one."""


SIDE_COLUMNS = (
    Column("id", "number k of the synapse, in test_<image>_instances and on the page; its sides are 2k - 1 and 2k in "
           "test_<image>_mask", "whole"),
    Column("sides", "which sides it has: both, pre or post", "text"),
    VOXELS,
    VOLUME,
    *(Column(f"{side}_voxels", f"size of the {side} side, in voxels; 0 without one", "whole") for side in SIDES),
    *position_columns("pre", "centre of mass of the pre side"),
    *position_columns("post", "centre of mass of the post side"),
    *(
        Column(f"{side}_pt_position_{axis}", f"a voxel of the {side} side, the nearest to its centre, along {axis}, in "
               "voxels from the origin of the dataset, with the offset", "whole")
        for side in SIDES
        for axis in reversed(AXES)
    ),
    *(Column(f"{side}_probability", f"mean of the channel {side} over that side", "number", ".3f") for side in SIDES),
    *(Column(f"direction_{axis}", f"unit vector from pre to post, along {axis}", "number", ".4f") for axis in AXES),
    BORDER,
    *OUTCOME_COLUMNS,
    Column("right_way_round", "whether its sides agree with those of the annotated one; empty unless it is found or "
           "poorly outlined", "truth"),
)  # fmt: skip


def list_sides(found: Found) -> list[Row]:
    """Return a row for each synapse, by ascending number k; the ids of its sides are 2k - 1 and 2k.

    A position is a side's centre of mass. The probability of a side is the mean of its own channel over it. The
    direction is the unit vector from the pre- to the post-synaptic centre, along (z, y, x) in space, not in voxels.
    What a missing side would have is None. A synapse at the border may go on beyond the volume.
    """
    both, spacing = found.judged.both, found.spacing_nm
    origin = np.round(np.asarray(found.offset_nm) / spacing).astype(np.int64)
    rows: list[Row] = []
    for i, (number, sides) in enumerate(measure_sides(found).items()):
        pre, post = sides
        voxels = int(both.predicted.voxels[i])
        row: dict[str, Any] = {"id": number, "sides": "both" if pre and post else "pre" if pre else "post"}
        row |= {"voxels": voxels, "volume_um3": volume_um3(voxels, spacing)}
        for name, side in zip(SIDES, sides, strict=True):
            row |= _side_cells(name, side, found, origin)
        way = _direction(pre.centre, post.centre, spacing) if pre and post else (None, None, None)
        row |= {f"direction_{axis}": part for axis, part in zip(AXES, way, strict=True)}
        row |= {"touches_border": any(side.touches_border for side in sides if side)}
        row |= outcome_cells(i, found.judged.outcomes, both.truth)
        rows.append(row | {"right_way_round": found.judged.right_way_round[i]})
    return rows


def _side_cells(name: str, side: Side | None, found: Found, origin: NDArray[np.int64]) -> dict[str, Any]:
    """Return the cells of one side, all None but its size where it is missing."""
    points = [f"{name}_pt_position_{axis}" for axis in AXES]
    if side is None:
        places = names_of(position_columns(name, ""))
        return {f"{name}_voxels": 0, **dict.fromkeys([*places, *points, f"{name}_probability"])}
    cells = {f"{name}_voxels": side.voxels, f"{name}_probability": side.probability}
    cells |= position(name, side.centre, found.spacing_nm, found.offset_nm)
    return cells | dict(zip(points, (side.inner + origin).tolist(), strict=True))


def remark_one_sided(rows: Sequence[Row]) -> str:
    """Return which of the synapses have one side only, as the end of a sentence; "" where none has."""
    lonely = [row["id"] for row in rows if row["sides"] != "both"]
    if not lonely:
        return ""
    more = f" and {len(lonely) - MOST_NAMED} more" if len(lonely) > MOST_NAMED else ""
    return f"; one side only have {', '.join(map(str, lonely[:MOST_NAMED]))}{more}"


@dataclass(frozen=True, slots=True)
class Side:
    """One side of a synapse."""

    voxels: int
    centre: NDArray[np.float64]
    """Centre of mass along (z, y, x), in voxels."""
    inner: NDArray[np.int64]
    """The voxel of the side that lies nearest to its centre in space, (z, y, x)."""
    probability: float
    """Mean over the side's voxels of the probability in its channel."""
    touches_border: bool


def measure_sides(found: Found) -> dict[int, tuple[Side | None, Side | None]]:
    """Return the pre- and the post-synaptic side of each synapse, by ascending number; one of them may be missing."""
    ids = found.labels
    present = np.unique(np.concatenate([np.unique(section[section > 0]) for section in ids]))
    sums = np.zeros((4, len(present)))  # voxels; positions along z, y, x
    for z, section in enumerate(ids):
        pixels = np.flatnonzero(section)
        side = np.searchsorted(present, section.reshape(-1)[pixels])
        added = np.ones(len(pixels)), np.full(len(pixels), z), *np.divmod(pixels, section.shape[1])
        for total, weights in zip(sums, added, strict=True):
            total += np.bincount(side, weights=weights, minlength=len(present))
    border, centres = _ids_at_border(ids), (sums[1:] / sums[0]).T
    inner = _nearest_voxels(ids, present, centres, found.spacing_nm)
    measured = zip(present, sums[0], centres, inner, _summed_probability(present, found) / sums[0], strict=True)
    sides = {int(i): Side(int(n), centre, at, float(sure), int(i) in border) for i, n, centre, at, sure in measured}
    return {k: (sides.get(2 * k - 1), sides.get(2 * k)) for k in sorted({(i + 1) // 2 for i in sides})}


def _nearest_voxels(
    ids: Labels, present: NDArray[np.unsignedinteger], centres: NDArray[np.float64], spacing_nm: Spacing
) -> NDArray[np.int64]:
    """Return for each id its voxel that lies nearest to a place, along (z, y, x), (N, 3); the first of several."""
    least, nearest = np.full(len(present), np.inf), np.zeros((len(present), 3), np.int64)
    for z, section in enumerate(ids):
        pixels = np.flatnonzero(section)
        side = np.searchsorted(present, section.reshape(-1)[pixels])
        voxels = np.stack([np.full(len(pixels), z), *np.divmod(pixels, section.shape[1])], axis=1)
        apart = (((voxels - centres[side]) * spacing_nm) ** 2).sum(axis=1)
        best_first = np.lexsort((apart, side))
        own, at = np.unique(side[best_first], return_index=True)
        chosen = best_first[at]
        nearer = apart[chosen] < least[own]
        least[own[nearer]], nearest[own[nearer]] = apart[chosen][nearer], voxels[chosen][nearer]
    return nearest


def _summed_probability(present: NDArray[np.unsignedinteger], found: Found) -> NDArray[np.float64]:
    """Return the sum of each side's own probability over its voxels, in the order of `present`, ascending ids."""
    total = np.zeros(len(present))
    for sections in found.probability if len(present) else ():
        part = found.labels[sections.box.slices]
        places = part > 0
        side = np.searchsorted(present, part[places])
        pre, post = (sections.voxels[found.channels.index(name)][places] for name in ("pre", "post"))
        sure = np.where(part[places] % np.uint64(2) == 1, pre, post)
        total += np.bincount(side, weights=sure, minlength=len(present))
    return total


def _direction(start: NDArray, end: NDArray, spacing_nm: Spacing) -> Sequence[float | None]:
    """Return the unit vector from one place to another, both in voxels; None three times where they are the same."""
    way = (end - start) * np.asarray(spacing_nm)
    length = float(np.linalg.norm(way))
    return (way / length).tolist() if length > 0 else (None, None, None)


def _ids_at_border(ids: Labels) -> set[int]:
    """Return the ids that have a voxel in the first or last plane along an axis."""
    faces = [ids.take((0, -1), axis=axis) for axis in range(3)]
    return {int(i) for face in faces for i in np.unique(face)}
