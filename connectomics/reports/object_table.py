"""What was found, one object per row: its place, size and probability, and what became of it."""

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
from connectomics.metrics.components import Components
from connectomics.metrics.distance import TargetDistances
from connectomics.metrics.judged import Judged
from connectomics.metrics.slabs.survey import Objects
from connectomics.reports.columns import (
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
from connectomics.reports.parquet import write_parquet
from connectomics.reports.side_table import SIDE_COLUMNS, list_sides, remark_one_sided

PLACE_COLUMNS = (
    VOXELS,
    VOLUME,
    *position_columns("centroid", "centre of mass"),
    *position_columns("first", "first voxel of the box around it", digits=""),
    *position_columns("last", "last voxel of the box around it", digits=""),
    BORDER,
)

CLEFT_COLUMNS = (
    Column("id", "id in test_<image>_instances, in annotated.csv and on the page", "whole"),
    *PLACE_COLUMNS,
    Column("mean_probability", "mean over its voxels", "number", ".3f"),
    Column("max_probability", "largest of its voxels", "number", ".3f"),
    *OUTCOME_COLUMNS,
    Column("nearest_annotated_nm", "how far the nearest annotated voxel is from its nearest voxel, in nm: 0 where they "
           "overlap; empty where nothing is annotated", "number", ".1f"),
)  # fmt: skip

ANNOTATED_COLUMNS = (
    Column("id", "id on the page and in annotated_ids of synapses.csv: components are counted from 1, synapses with "
           "sides have their own number", "whole"),
    *PLACE_COLUMNS,
    Column("outcome", "what became of it: found, poorly outlined, merged, split or missed", "text"),
    Column("predicted_ids", "ids of the predicted objects on it, in synapses.csv", "text"),
)  # fmt: skip


def list_clefts(found: Found) -> list[Row]:
    """Return a row for each connected component of the foreground, by the ids that the page gives them.

    A position in voxels counts from the first voxel of the prediction; one in nm adds its `offset`. A box is told by
    its first and its last voxel. The distance to the nearest annotated cleft is that of the two nearest voxels, 0
    where they overlap.
    """
    both = found.judged.both
    ids, number = both.predicted_ids, len(both.predicted)
    nearest = _nearest_nm(ids, number, found.pair.masks.truth, found.spacing_nm)
    objects = Objects(*_boxes(ids, number), *_probabilities(ids, number, found))
    return cleft_rows(found.judged, objects, nearest, Grid(ids.shape, found.spacing_nm, found.offset_nm))


@dataclass(frozen=True, slots=True)
class Grid:
    """Where the voxels of a volume lie."""

    shape: tuple[int, ...]
    spacing_nm: Spacing
    offset_nm: Spacing


def cleft_rows(judged: Judged, objects: Objects, nearest: NDArray[np.float64] | None, grid: Grid) -> list[Row]:
    """Return the rows of `list_clefts` where everything about the objects is known, in the order of their ids.

    Args:
        judged: The objects, and what became of each; its voxels are not looked at.
        objects: Their boxes and probabilities.
        nearest: How far the nearest annotated voxel is from each, in nm, (N,); None where nothing is annotated.
        grid: Where the voxels lie.
    """
    assert objects.mean is not None
    assert objects.largest is not None
    rows: list[Row] = []
    for i, place in enumerate(_places(judged.both.predicted, objects, grid)):
        row = place | {"mean_probability": float(objects.mean[i]), "max_probability": float(objects.largest[i])}
        row |= outcome_cells(i, judged.outcomes, judged.both.truth)
        rows.append(row | {"nearest_annotated_nm": None if nearest is None else float(nearest[i])})
    return rows


def list_annotated(found: Found) -> list[Row]:
    """Return a row for each annotated object, by ascending id: where it lies, and what became of it."""
    ids, number = found.judged.both.truth_ids, len(found.judged.both.truth)
    grid = Grid(ids.shape, found.spacing_nm, found.offset_nm)
    return annotated_rows(found.judged, Objects(*_boxes(ids, number)), grid)


def annotated_rows(judged: Judged, objects: Objects, grid: Grid) -> list[Row]:
    """Return the rows of `list_annotated`; see `cleft_rows`."""
    both, outcomes = judged.both, judged.outcomes
    assert outcomes is not None
    joined, rows = outcomes.joined, list[Row]()
    for i, place in enumerate(_places(both.truth, objects, grid)):
        on_it = both.predicted.numbers[joined.predicted[joined.truth == i]]
        rows.append(
            place | {"outcome": str(outcomes.annotated[i]), "predicted_ids": " ".join(map(str, on_it.tolist())) or None}
        )
    return rows


@dataclass(frozen=True, slots=True)
class Table:
    """One kind of table."""

    columns: tuple[Column, ...]
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


def write_table(path: Path, decoder: Decoder, found: Found, parquet: bool = False) -> WrittenTable:
    """Write the table of a decoder as CSV.

    Args:
        path: The file to write; it appears when it is whole.
        decoder: What found the objects.
        found: What it found.
        parquet: Whether to write it as Parquet as well, beside it.

    Raises:
        UserError: If it cannot be written.
    """
    table = pick(TABLES, decoder.table, "Decoder.table")
    rows = table.rows(found)
    write_rows(path, table.columns, rows, parquet)
    return WrittenTable(len(rows), table.remark(rows))


def write_rows(path: Path, columns: Sequence[Column], rows: Sequence[Row], parquet: bool = False) -> None:
    """Write rows as CSV, whole or not at all, and as Parquet beside it where that is wanted.

    Raises:
        UserError: If they cannot be written.
    """
    with write_whole(path) as partial, partial.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(names_of(columns))
        writer.writerows([column.cell(row[column.name]) for column in columns] for row in rows)
    if parquet:
        write_parquet(path.with_suffix(".parquet"), columns, rows)


def _places(components: Components, objects: Objects, grid: Grid) -> list[dict[str, Any]]:
    """Return the id of each object, and its cells of `PLACE_COLUMNS`."""
    border = (objects.first == 0).any(axis=1) | (objects.last == np.array(grid.shape) - 1).any(axis=1)
    places = []
    for i, voxels in enumerate(components.voxels.tolist()):
        row = {"id": int(components.numbers[i]), "voxels": voxels, "volume_um3": volume_um3(voxels, grid.spacing_nm)}
        middle = components.centroids_nm[i] / grid.spacing_nm
        for name, voxel in (("centroid", middle), ("first", objects.first[i]), ("last", objects.last[i])):
            row |= position(name, voxel, grid.spacing_nm, grid.offset_nm)
        places.append(row | {"touches_border": bool(border[i])})
    return places


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
