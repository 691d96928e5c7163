"""What tuning tried, as one page for a browser: curves, the setting that was chosen, and what any other would find."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import IO, Any

from connectomics.metrics import METRICS
from connectomics.reports.charts import SHARE, Chart, Line, lines_of
from connectomics.reports.templates import dump_json, fill, write_score
from connectomics.reports.tried_sections import TriedSection, encode_section

MOST_SIZES = 3
"""How many lines one chart that compares minimum sizes has at most."""

Rows = Sequence[Mapping[str, Any]]
"""One row for each threshold and minimum size: `threshold`, `min_size`, and the scores by name."""


def write_tuning(
    page: IO[str],
    name: str,
    rows: Mapping[str, Rows],
    means: Rows,
    best: Mapping[str, Any],
    metric: str,
    sections: Mapping[str, Sequence[TriedSection]],
) -> None:
    """Write the page, which needs nothing outside itself.

    Args:
        page: What it is written to.
        name: Name of the experiment.
        rows: Volume to its scores.
        means: The same, averaged over the volumes.
        best: The row of `means` that was chosen.
        metric: The score that decided.
        sections: Volume to the sections that show what a setting finds; none where masks are not made by a threshold.
    """
    decided = METRICS[metric]
    charts = list(_charts(rows, means, best, metric))
    pictured = [(volume, one) for volume, own in sections.items() for one in own]
    tried = {
        "charts": [chart.to_json() for chart in charts],
        "thresholds": _thresholds(means),
        "sizes": _sizes(means),
        "sections": [encode_section(one) for _, one in pictured],
    }
    fill(
        page,
        "tune.html",
        name=name,
        volumes=list(rows),
        count=len(means),
        decided=f"{decided.title or metric} ({decided.direction} is better)",
        best=best,
        score=f"{write_score(best[metric])} {decided.unit}".rstrip(),
        thresholds=_thresholds(means),
        sizes=_sizes(means),
        table=_best_of_each_size(means, best, metric),
        charts=charts,
        meanings=_meanings(means[0]),
        pictured=[f"{volume}, section {one.z}" for volume, one in pictured],
        tried=dump_json(tried),
    )


def _meanings(row: Mapping[str, Any]) -> list[str]:
    """Return what each score of a row tells."""
    told = {name: METRICS[name] for name in row if name in METRICS}
    return [f"{one.title or name}: {one.meaning}" for name, one in told.items() if one.meaning]


def _sizes(rows: Rows) -> list[int]:
    return sorted({row["min_size"] for row in rows})


def _thresholds(rows: Rows) -> list[float]:
    return sorted({row["threshold"] for row in rows})


def _charts(rows: Mapping[str, Rows], means: Rows, best: Mapping[str, Any], metric: str) -> Iterator[Chart]:
    what = f"Mean over {len(rows)} volumes" if len(rows) > 1 else next(iter(rows))
    size, used = best["min_size"], best["threshold"]
    for names in _figures(means[0]):
        yield _chart(what, means, names, used, size)
    sizes = sorted(_sizes(means), key=lambda one: (one != size, one))[:MOST_SIZES]
    if len(sizes) > 1:
        lines = lines_of(Line(f"minimum size {one}", _values(means, metric, one), 0) for one in sorted(sizes))
        decided = METRICS[metric]
        yield Chart(f"{what}: minimum sizes", decided.described(metric), lines, used, None, decided.lower_is_better)
    if len(rows) > 1:
        for volume, own in rows.items():
            yield _chart(volume, own, [metric], used, size)


def _figures(row: Mapping[str, Any]) -> list[list[str]]:
    """Return the metrics of a row that are drawn together."""
    figures: dict[str, list[str]] = {}
    for name in (name for name in row if name in METRICS):
        figures.setdefault(METRICS[name].figure or name, []).append(name)
    return list(figures.values())


def _chart(what: str, rows: Rows, names: Sequence[str], used: float, size: int) -> Chart:
    """Return a chart of some metrics, with the lines of every minimum size."""
    first = METRICS[names[0]]
    axis = first.described(names[0])
    if len(names) > 1:
        axis = SHARE
    titles = {key: title for name in names for key, title in METRICS[name].lines(name).items() if key in rows[0]}
    lines = [
        Line(title, _values(rows, key, one), series, one)
        for one in _sizes(rows)
        for series, (key, title) in enumerate(titles.items())
    ]
    return Chart(what, axis, lines, used, size, first.lower_is_better)


def _values(rows: Rows, name: str, size: int) -> dict[float, float | None]:
    return {row["threshold"]: row[name] for row in rows if row["min_size"] == size}


def _best_of_each_size(means: Rows, best: Mapping[str, Any], metric: str) -> dict[str, Any]:
    """Return the table of the best row of each minimum size."""
    titles = {"threshold": "threshold", "min_size": "minimum size"}
    for name in (name for name in means[0] if name in METRICS):
        titles |= {key: title for key, title in METRICS[name].lines(name).items() if key in means[0]}
    better, chosen = (min if METRICS[metric].lower_is_better else max), []
    for size in _sizes(means):
        scored = [row for row in means if row["min_size"] == size and row[metric] is not None]
        if scored:
            chosen.append(better(scored, key=lambda row: row[metric]))
    rows = [(row["min_size"] == best["min_size"], [row[key] for key in titles]) for row in chosen]
    return {"titles": list(titles.values()), "rows": rows}
