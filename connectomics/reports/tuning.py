"""What tuning tried, as one page of curves for a browser."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from markupsafe import Markup

from connectomics.metrics import METRICS
from connectomics.reports.charts import draw_group
from connectomics.reports.templates import fill
from connectomics.reports.thresholds import Curves

MOST_SIZES = 3
"""How many lines one figure that compares minimum sizes has at most."""


def write_tuning(
    name: str,
    rows: Mapping[str, Sequence[Mapping[str, Any]]],
    means: Sequence[Mapping[str, Any]],
    best: Mapping[str, Any],
    metric: str,
) -> str:
    """Return the page, which needs nothing outside itself.

    Args:
        name: Name of the experiment.
        rows: Volume to its scores, one row for each threshold and minimum size.
        means: The same, averaged over the volumes.
        best: The row of `means` that was chosen.
        metric: The score that decided.
    """
    page = io.StringIO()
    fill(
        page,
        "tune.html",
        title=f"{name}: thresholds and minimum sizes",
        count=len(means),
        metric=metric,
        threshold=best["threshold"],
        min_size=best["min_size"],
        table=Markup(_table(means, best, metric)),
        charts=map(Markup, _charts(rows, means, best, metric)),
    )
    return page.getvalue()


def _charts(
    rows: Mapping[str, Sequence[Mapping[str, Any]]],
    means: Sequence[Mapping[str, Any]],
    best: Mapping[str, Any],
    metric: str,
) -> list[str]:
    size, used = best["min_size"], best["threshold"]
    what = f"mean over {len(rows)} volumes" if len(rows) > 1 else next(iter(rows))
    sizes = sorted(dict.fromkeys(row["min_size"] for row in means), key=lambda s: (s != size, s))[:MOST_SIZES]
    drawn = []
    if len(sizes) > 1:
        by_size: dict[float, dict[str, float | None]] = {}
        for row in means:
            if row["min_size"] in sizes:
                by_size.setdefault(row["threshold"], {})[f"size {row['min_size']}"] = row[metric]
        names = [f"size {one}" for one in sorted(sizes)]
        drawn.append(draw_group(f"{what}, {metric}", by_size, names, used))
    for lines in _figures(means[0]):
        drawn.append(draw_group(f"{what}, min_size {size}", _curves(means, size, lines), list(lines.values()), used))
    if len(rows) > 1:
        lines = {metric: METRICS[metric].lines(metric)[metric]}
        for volume, own in rows.items():
            drawn.append(draw_group(f"{volume}, min_size {size}", _curves(own, size, lines), [*lines.values()], used))
    return drawn


def _figures(row: Mapping[str, Any]) -> list[dict[str, str]]:
    """Return the figures that a row's scores are drawn in: of each, the names of its lines with their titles."""
    figures: dict[str, dict[str, str]] = {}
    for name in (name for name in row if name in METRICS):
        metric = METRICS[name]
        lines = {line: title for line, title in metric.lines(name).items() if line in row}
        figures.setdefault(metric.figure or name, {}).update(lines)
    return list(figures.values())


def _curves(rows: Sequence[Mapping[str, Any]], size: int, lines: Mapping[str, str]) -> Curves:
    own = [row for row in rows if row["min_size"] == size]
    return {row["threshold"]: {title: row[name] for name, title in lines.items()} for row in own}


def _table(means: Sequence[Mapping[str, Any]], best: Mapping[str, Any], metric: str) -> str:
    """Return the best row of each minimum size."""
    names = list(means[0])
    head = "".join(f"<th scope=col>{escape(name)}</th>" for name in names)
    body = []
    for size in sorted(dict.fromkeys(row["min_size"] for row in means)):
        scored = [row for row in means if row["min_size"] == size and row[metric] is not None]
        if scored:
            top = (min if METRICS[metric].lower_is_better else max)(scored, key=lambda row: row[metric])
            kind = ' class="mean"' if size == best["min_size"] else ""
            cells = "".join(f"<td>{_cell(top[name])}</td>" for name in names)
            body.append(f"<tr{kind}>{cells}</tr>")
    return f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(body)}</tbody></table>"


def _cell(value: float | None) -> str:
    return "undefined" if value is None else f"{value:.4g}"
