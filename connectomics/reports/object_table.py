"""What was found, one object per row: its place, size and probability, and whether it is annotated."""

from __future__ import annotations

import csv
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from connectomics.decoding import Decoder
from connectomics.files import write_whole
from connectomics.geometry import Spacing
from connectomics.lookup import pick
from connectomics.metrics import MaskPair
from connectomics.metrics.components import pair_components
from connectomics.metrics.distance import TargetDistances
from connectomics.metrics.matching import match_components
from connectomics.reports.found import Found, Row, position, position_columns
from connectomics.reports.side_table import SIDE_COLUMNS, list_sides, remark_one_sided


def list_clefts(found: Found) -> list[Row]:
    """Return a row for each connected component of the foreground, by the ids that the page gives them.

    A position in voxels counts from the first voxel of the prediction; one in nm adds its `offset`. A box is told by
    its first and its last voxel. The distance to the nearest annotated cleft is that of the two nearest voxels, 0
    where they overlap.
    """
    mask = found.labels != 0
    pair = MaskPair(mask, np.zeros_like(mask), found.spacing_nm) if found.pair is None else found.pair.masks
    both = pair_components(pair, found.rule.connectivity)
    ids, components, number, truth = both.predicted_ids, both.predicted, len(both.predicted), pair.truth
    matched = {m.predicted.id: m.iou for m in match_components(components, both.truth, found.rule).matched}
    nearest = _nearest_nm(ids, number, truth, found.spacing_nm)
    first, last = _boxes(ids, number)
    mean, largest = _probabilities(ids, number, found)
    rows: list[Row] = []
    for i in range(number):
        row: dict[str, Any] = {"id": i + 1, "voxels": int(components.voxels[i])}
        row |= position("centroid", components.centroids_nm[i] / found.spacing_nm, found)
        row |= position("first", first[i], found) | position("last", last[i], found)
        row |= {"mean_probability": float(mean[i]), "max_probability": float(largest[i])}
        row |= {"matched": None if found.pair is None else i + 1 in matched, "iou": matched.get(i + 1)}
        row |= {"nearest_annotated_nm": None if nearest is None else float(nearest[i])}
        rows.append(row)
    return rows


CLEFT_COLUMNS = (
    "id",
    "voxels",
    *(column for place in ("centroid", "first", "last") for column in position_columns(place)),
    *("mean_probability", "max_probability", "matched", "iou", "nearest_annotated_nm"),
)


@dataclass(frozen=True, slots=True)
class Table:
    """One kind of table."""

    columns: tuple[str, ...]
    rows: Callable[[Found], Sequence[Row]]
    remark: Callable[[Sequence[Row]], str] = lambda rows: ""
    """Says what is odd about some of the rows; "" if nothing is."""


TABLES: Mapping[str, Table] = {
    "clefts": Table(CLEFT_COLUMNS, list_clefts),
    "sides": Table(SIDE_COLUMNS, list_sides, remark_one_sided),
}
"""`Decoder.table` to the table that lists the objects."""


@dataclass(frozen=True, slots=True)
class WrittenTable:
    """What there is to say of a table."""

    objects: int
    remark: str
    """What is odd about some of the objects; "" if nothing is."""


def write_table(path: Path, decoder: Decoder, found: Found) -> WrittenTable:
    """Write the table of a decoder as CSV.

    Args:
        path: The file to write; it appears when it is whole.
        decoder: What found the objects.
        found: What it found.

    Raises:
        UserError: If it cannot be written.
    """
    table = pick(TABLES, decoder.table, "Decoder.table")
    rows = table.rows(found)
    with write_whole(path) as partial, partial.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(table.columns)
        writer.writerows([_cell(row[column]) for column in table.columns] for row in rows)
    return WrittenTable(len(rows), table.remark(rows))


def _boxes(ids: NDArray[np.unsignedinteger], number: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the first and the last voxel of the box around each object, (N, 3) as (z, y, x)."""
    first = np.full((number + 1, 3), max(ids.shape, default=0))
    last = np.full((number + 1, 3), -1)
    for z, section in enumerate(ids):
        pixels = np.flatnonzero(section)
        owners = section.reshape(-1)[pixels]
        rows, columns = np.divmod(pixels, section.shape[1])
        for axis, places in enumerate((np.full(len(pixels), z), rows, columns)):
            np.minimum.at(first[:, axis], owners, places)
            np.maximum.at(last[:, axis], owners, places)
    return first[1:], last[1:]


def _probabilities(
    ids: NDArray[np.unsignedinteger], number: int, found: Found
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the mean and the largest probability of each object, (N,)."""
    total, largest = np.zeros(number + 1), np.zeros(number + 1)
    voxels = np.zeros(number + 1, np.int64)
    for sections in found.probability:
        owners = ids[sections.box.slices]
        places = owners != 0
        owners, probability = owners[places], found.foreground(sections.voxels)[places].astype(np.float64)
        voxels += np.bincount(owners, minlength=number + 1)
        total += np.bincount(owners, weights=probability, minlength=number + 1)
        np.maximum.at(largest, owners, probability)
    return total[1:] / voxels[1:], largest[1:]


def _nearest_nm(
    ids: NDArray[np.unsignedinteger], number: int, truth: NDArray[np.bool_], spacing_nm: Spacing
) -> NDArray[np.float64] | None:
    """Return how far the nearest voxel of `truth` is from the nearest voxel of each object, (N,); None without any."""
    if not truth.any():
        return None
    distances, nearest = TargetDistances(truth, spacing_nm, ids != 0), np.full(number + 1, np.inf)
    for z, section in enumerate(ids):
        pixels = np.flatnonzero(section)
        np.minimum.at(nearest, section.reshape(-1)[pixels], distances.squared(z, pixels))
    return np.sqrt(nearest[1:]) * distances.lattice.unit_nm


def _cell(value: Any) -> str:
    """Return a value as CSV holds it; a number keeps nine digits."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.9g}" if isinstance(value, float) else str(value)
