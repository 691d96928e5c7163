"""The scores of a test as a table on the screen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rich.console import Console
from rich.table import Table

PARTS: Mapping[str, Mapping[str, str]] = {
    "cremi_distance": {"score": "CREMI (nm)", "adgt": "ADGT (nm)", "adf": "ADF (nm)"},
    "polarity_f1": {
        "f1": "F1",
        "precision": "precision",
        "recall": "recall",
        "right_way_round": "right way round",
        "pre_iou": "pre IoU",
        "post_iou": "post IoU",
    },
}
"""Metrics that have several numbers: which of them the table shows, and under which title."""


@dataclass(frozen=True, slots=True)
class ScoreTable:
    """Scores as text."""

    titles: list[str]
    """Of the columns, without that of the volumes."""
    rows: dict[str, list[str]]
    """Volume, and "mean" at the end, to its cells."""
    notes: list[str]
    """Why some of them are undefined."""


def tabulate_scores(scores: Mapping[str, Any]) -> ScoreTable:
    """Return one row per volume and one for their mean.

    Args:
        scores: As in `metrics.json`: `volumes` and `mean`.
    """
    rows = {**scores["volumes"], "mean": scores["mean"]}
    columns = _columns(rows)
    notes = [
        f"{name}: {key.removesuffix('_undefined')} is undefined: {reason}"
        for name, row in rows.items()
        for key, reason in row.items()
        if key.endswith("_undefined")
    ]
    cells = {name: [_cell(row, metric, part) for metric, part in columns] for name, row in rows.items()}
    return ScoreTable([_title(metric, part) for metric, part in columns], cells, notes)


def print_scores(console: Console, scores: Mapping[str, Any]) -> None:
    """Print one row per volume and one for their mean; what has no value is told below the table.

    Args:
        console: Where to print.
        scores: As in `metrics.json`: `volumes` and `mean`.
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


def _columns(rows: Mapping[str, Mapping[str, Any]]) -> list[tuple[str, str | None]]:
    metrics = [key for row in rows.values() for key in row if not key.endswith("_undefined")]
    columns: list[tuple[str, str | None]] = []
    for metric in dict.fromkeys(metrics):
        columns += [(metric, part) for part in PARTS.get(metric, (None,))]
    return columns


def _title(metric: str, part: str | None) -> str:
    return metric if part is None else PARTS[metric][part]


def _cell(row: Mapping[str, Any], metric: str, part: str | None) -> str:
    value = row.get(metric)
    if isinstance(value, Mapping):
        value = value.get(part or "score")
    if isinstance(value, Mapping):
        value = None
    if value is None:
        return "undefined"
    return f"{value:.2f}" if _title(metric, part).endswith("(nm)") else f"{value:.4g}"
