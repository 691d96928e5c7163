"""The scores of a test as a table on the screen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rich.console import Console
from rich.table import Table

from connectomics.metrics import METRICS
from connectomics.reports.counts import detection_sentence, outcome_phrases, score_sentence, speck_sentence

DETECTION = "synapse_detection"
"""The score that is told in sentences on the screen."""


@dataclass(frozen=True, slots=True)
class ScoreTable:
    """Scores as text."""

    titles: list[str]
    """Titles of the columns, except for that of the volumes."""
    rows: dict[str, list[str]]
    """Cells of each volume, by its name, and of the mean at the end."""
    notes: list[str]
    """Why some of the scores are undefined."""
    meanings: list[str]
    """What each metric tells, and which way is better."""


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
    return ScoreTable([column.title for column in columns], cells, notes, _meanings(columns))


def print_scores(console: Console, scores: Mapping[str, Any], noun: str = "synapses") -> None:
    """Print one row per volume and one for their mean; below, what has no value, and what became of the synapses.

    Args:
        console: Where to print.
        scores: The content of `metrics.json`: `volumes` and `mean`.
        noun: What the objects are called, in the plural.
    """
    plain = {name: _without_counts(row) for name, row in scores["volumes"].items()}
    tabulated = tabulate_scores({"volumes": plain, "mean": _without_counts(scores["mean"])})
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
    for name, row in scores["volumes"].items():
        if row.get(DETECTION):
            for line in _told(row[DETECTION], noun):
                console.print(f"{name}: {line}", markup=False, highlight=False, soft_wrap=True)


def _told(counts: Mapping[str, Any], noun: str) -> list[str]:
    """Return what is said of the objects of a volume."""
    outcomes = ", ".join(text for _, text in outcome_phrases(counts))
    told = [detection_sentence(counts, noun), outcomes, speck_sentence(counts, noun), score_sentence(counts)]
    return [line for line in told if line]


def _without_counts(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return the scores of a volume without those that are told in sentences."""
    return {name: score for name, score in row.items() if name != DETECTION}


def _meanings(columns: Sequence[_Column]) -> list[str]:
    shown: dict[str, list[str]] = {}
    for column in columns:
        shown.setdefault(column.metric, []).append(column.title)
    told = [(", ".join(titles), METRICS[name]) for name, titles in shown.items()]
    return [
        f"{titles}: {metric.meaning}; {'lower' if metric.lower_is_better else 'higher'} is better"
        for titles, metric in told
        if metric.meaning
    ]


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
