"""Curves over the threshold as inline SVG; the colours are those of the page's style sheet."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from itertools import groupby

from connectomics.reports.thresholds import Curves

WIDTH, HEIGHT = 520, 300
LEFT, RIGHT, TOP, BOTTOM = 52, 96, 14, 42
TICKS = 5
LABEL_PX = 15
"""Least distance between two labels, in pixels."""


def draw_curves(title: str, curves: Curves, used: float | None = None) -> str:
    """Return figures of all scores over the threshold: the shares in one figure, every other score in its own.

    Args:
        title: What the numbers are of.
        curves: The numbers; where one is undefined the line has a gap.
        used: The threshold that was used, marked with a line.
    """
    names = list(dict.fromkeys(name for numbers in curves.values() for name in numbers))
    shares = [name for name in names if all(0 <= value <= 1 for value in _values(curves, name))]
    groups = [shares] * bool(shares) + [[name] for name in names if name not in shares]
    return "\n".join(_figure(title, curves, group, used) for group in groups)


def draw_group(title: str, curves: Curves, names: Sequence[str], used: float | None = None) -> str:
    """Return one figure of some scores over the threshold; arguments are those of `draw_curves`."""
    return _figure(title, curves, names, used)


def _values(curves: Curves, name: str) -> list[float]:
    return [value for numbers in curves.values() if (value := numbers.get(name)) is not None]


def _figure(title: str, curves: Curves, names: Sequence[str], used: float | None) -> str:
    caption = escape(f"{title}: {', '.join(names)} over the threshold")
    return (
        f'<figure class="chart"><figcaption>{caption}</figcaption>'
        f"{_picture(curves, names, used)}{_numbers(curves, names)}</figure>"
    )


def _picture(curves: Curves, names: Sequence[str], used: float | None) -> str:
    values = [value for name in names for value in _values(curves, name)]
    top = 1.0 if all(value <= 1 for value in values) else 1.05 * max(values)
    spoken = escape(f"{', '.join(names)} over the threshold; the numbers are in the table below")
    parts = [f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{spoken}">', *_axes(top)]
    if used is not None:
        x = _x(used)
        parts.append(f'<line class="used" x1="{x}" x2="{x}" y1="{TOP}" y2="{HEIGHT - BOTTOM}"/>')
        parts.append(f'<text class="used" x="{x + 4}" y="{TOP + 10}">used: {used:g}</text>')
    for series, name in enumerate(names):
        points = [(t, numbers.get(name)) for t, numbers in sorted(curves.items())]
        parts += [f'<path class="series s{series % 3}" d="{d}"/>' for d in _lines(points, top)]
    parts += _labels(curves, names, top)
    return "".join([*parts, "</svg>"])


def _axes(top: float) -> list[str]:
    bottom, right = HEIGHT - BOTTOM, WIDTH - RIGHT
    parts = []
    for i in range(TICKS + 1):
        share = i / TICKS
        x, y = _x(share), _y(share * top, top)
        parts.append(f'<line class="grid" x1="{LEFT}" x2="{right}" y1="{y}" y2="{y}"/>')
        parts.append(
            f'<text x="{LEFT - 8}" y="{y + 4}" text-anchor="end">{share * top:{".3g" if top < 1000 else ".0f"}}</text>'
        )
        parts.append(f'<text x="{x}" y="{bottom + 18}" text-anchor="middle">{share:.1f}</text>')
    middle = (LEFT + right) / 2
    return [*parts, f'<text x="{middle}" y="{HEIGHT - 6}" text-anchor="middle">threshold of the probability</text>']


def _lines(points: list[tuple[float, float | None]], top: float) -> list[str]:
    """Return the paths of a line that breaks where a value is undefined."""
    runs = [
        [(t, v) for t, v in run if v is not None] for known, run in groupby(points, lambda p: p[1] is not None) if known
    ]
    return ["M" + "L".join(f"{_x(t)} {_y(v, top)}" for t, v in run) for run in runs]


def _labels(curves: Curves, names: Sequence[str], top: float) -> list[str]:
    """Return the names of the lines, right of their ends and clear of one another."""
    ends = sorted(
        (_y(values[-1], top), series, name) for series, name in enumerate(names) if (values := _values(curves, name))
    )
    lowest = HEIGHT - BOTTOM - LABEL_PX * (len(ends) - 1)  # of the first label, so that all have room
    parts, last = [], float("-inf")
    for i, (y, series, name) in enumerate(ends):
        last = max(last + LABEL_PX, min(y, lowest + i * LABEL_PX))
        parts.append(f'<path class="series s{series % 3}" d="M{WIDTH - RIGHT + 4} {last}h18"/>')
        parts.append(f'<text x="{WIDTH - RIGHT + 26}" y="{last + 4}">{escape(name)}</text>')
    return parts


def _numbers(curves: Curves, names: Sequence[str]) -> str:
    head = "".join(f"<th scope=col>{escape(name)}</th>" for name in names)
    cells = {
        threshold: "".join(f"<td>{_written(numbers.get(name))}</td>" for name in names)
        for threshold, numbers in sorted(curves.items())
    }
    rows = (f"<tr><th scope=row>{threshold:g}</th>{row}</tr>" for threshold, row in cells.items())
    return (
        "<details><summary>the numbers</summary><table><thead><tr><th scope=col>threshold</th>"
        f"{head}</tr></thead><tbody>{''.join(rows)}</tbody></table></details>"
    )


def _written(value: float | None) -> str:
    return "undefined" if value is None else f"{value:.4g}"


def _x(threshold: float) -> float:
    return round(LEFT + threshold * (WIDTH - LEFT - RIGHT), 1)


def _y(value: float, top: float) -> float:
    return round(HEIGHT - BOTTOM - value / top * (HEIGHT - TOP - BOTTOM), 1)
