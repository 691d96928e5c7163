"""The scores of a test as a table on the screen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rich.console import Console
from rich.table import Table

from connectomics.metrics import METRICS


@dataclass(frozen=True, slots=True)
class ScoreTable:
    """Scores as text."""

    titles: list[str]
    """Titles of the columns, except for that of the volumes."""
    rows: dict[str, list[str]]
    """Cells of each volume, by its name, and of the mean at the end."""
    notes: list[str]
    """Why some of the scores are undefined."""


def tabulate_scores(scores: Mapping[str, Any]) -> ScoreTable:
    """Return one row per volume and one for their mean.

    Args:
        scores: The content of `metrics.json`: `volumes` and `mean`.
    """
    rows = {**scores["volumes"], "mean": scores["mean"]}
    columns = _columns(rows)
    notes = [
        f"{name}: {key.removesuffix('_undefined')} is undefined: {reason}"
        for name, row in rows.items()
        for key, reason in row.items()
        if key.endswith("_undefined")
    ]
    cells = {name: [_cell(row, column) for column in columns] for name, row in rows.items()}
    return ScoreTable([column.title for column in columns], cells, notes)


def print_scores(console: Console, scores: Mapping[str, Any]) -> None:
    """Print one row per volume and one for their mean; what has no value is told below the table.

    Args:
        console: Where to print.
        scores: The content of `metrics.json`: `volumes` and `mean`.
    """
    tabulated = tabulate_scores(scores)
    table = Table(title="scores")
    table.add_column("volume")
    for title in tabulated.titles:
        table.add_column(title, justify="right", overflow="fold")
    for name, cells in tabulated.rows.items():
        if name == "mean":
            table.add_section()
        table.add_row(name, *cells)
    console.print(table)
    for note in tabulated.notes:
        console.print(note, markup=False)


@dataclass(frozen=True, slots=True)
class _Column:
    """One number of a metric."""

    metric: str
    part: str | None
    """Name of one number of a score with several; None for a score that is one number."""
    title: str


def _columns(rows: Mapping[str, Mapping[str, Any]]) -> list[_Column]:
    named = dict.fromkeys(key for row in rows.values() for key in row if not key.endswith("_undefined"))
    return [_Column(name, part, title) for name in named for part, title in METRICS[name].columns(name).items()]


def _cell(row: Mapping[str, Any], column: _Column) -> str:
    value = row.get(column.metric)
    if isinstance(value, Mapping):
        value = value.get(column.part)
    if value is None:
        return "undefined"
    return f"{value:.2f}" if METRICS[column.metric].unit == "nm" else f"{value:.4g}"
