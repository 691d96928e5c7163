"""One row per synapse with sides: their places, sizes and probabilities, and its direction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from connectomics.geometry import Spacing
from connectomics.metrics.label_pair import Labels
from connectomics.metrics.polarity import detect_polarity
from connectomics.reports.found import AXES, Found, Row, position, position_columns

MOST_NAMED = 10
"""How many synapses a remark names one by one."""


SIDE_COLUMNS = (
    "id",
    "sides",
    "pre_voxels",
    "post_voxels",
    *position_columns("pre"),
    *position_columns("post"),
    "pre_probability",
    "post_probability",
    *(f"direction_{axis}" for axis in AXES),
    *("touches_border", "matched", "iou", "right_way_round"),
)


def list_sides(found: Found) -> list[Row]:
    """Return a row for each synapse, by ascending number k; the ids of its sides are 2k - 1 and 2k.

    A position is a side's centre of mass. The probability of a side is the mean of its own channel over it. The
    direction is the unit vector from the pre- to the post-synaptic centre, along (z, y, x) in space, not in voxels.
    What a missing side would have is None. A synapse at the border may go on beyond the volume.
    """
    synapses = measure_sides(found)
    matched = {}
    if found.pair is not None:
        polarity = detect_polarity(found.labels, found.pair.truth, found.spacing_nm, found.rule)
        pairs = zip(polarity.synapses.matched, polarity.sides, strict=True)
        matched = {match.predicted.id: (match.iou, sides.right_way_round) for match, sides in pairs}
    rows: list[Row] = []
    for number, (pre, post) in synapses.items():
        iou, right = matched.get(number, (None, None))
        row: dict[str, Any] = {"id": number, "sides": "both" if pre and post else "pre" if pre else "post"}
        for name, side in (("pre", pre), ("post", post)):
            row |= {f"{name}_voxels": side.voxels if side else 0}
            row |= position(name, side.centre, found) if side else dict.fromkeys(position_columns(name))
            row |= {f"{name}_probability": side.probability if side else None}
        way = _direction(pre.centre, post.centre, found.spacing_nm) if pre and post else (None, None, None)
        row |= {f"direction_{axis}": part for axis, part in zip(AXES, way, strict=True)}
        row |= {"touches_border": any(side.touches_border for side in (pre, post) if side)}
        row |= {"matched": None if found.pair is None else number in matched, "iou": iou, "right_way_round": right}
        rows.append(row)
    return rows


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
    border = _ids_at_border(ids)
    measured = zip(present, sums[0], (sums[1:] / sums[0]).T, _summed_probability(present, found) / sums[0], strict=True)
    sides = {int(i): Side(int(n), centre, float(sure), int(i) in border) for i, n, centre, sure in measured}
    return {k: (sides.get(2 * k - 1), sides.get(2 * k)) for k in sorted({(i + 1) // 2 for i in sides})}


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
