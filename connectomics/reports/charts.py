"""Curves over the threshold: what a chart shows, and where that lies in its picture; `charts.html` draws it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from math import ceil, floor, log10
from typing import Any, ClassVar, final

from connectomics.metrics import METRICS
from connectomics.reports.thresholds import Curves

MOST_TICKS = 6
"""How many steps an axis has at most."""

STEPS = (1.0, 2.0, 2.5, 5.0, 10.0)
"""Steps between ticks that people count in, times a power of ten."""

SHARE = "share, from 0 to 1; higher is better"

ROOM = 5.0
"""A chart in which lower is better reaches to this many times the best of its first line; what is beyond is bad."""


@dataclass(frozen=True, slots=True)
class Line:
    """One score over the threshold."""

    title: str
    values: Mapping[float, float | None]
    """Score by threshold; None where it is undefined."""
    series: int
    """Which colour and dashes it has, from 0."""
    min_size: int | None = None
    """The minimum size that it was measured with, where a chart holds several; it shows one of them at a time."""

    def at(self, threshold: float | None) -> float | None:
        """Return the score at a threshold; None where there is none."""
        return None if threshold is None else self.values.get(threshold)


@final
@dataclass(frozen=True, slots=True)
class Chart:
    """Some scores over the threshold, in one picture."""

    WIDTH: ClassVar[int] = 520
    HEIGHT: ClassVar[int] = 300
    LEFT: ClassVar[int] = 64
    RIGHT: ClassVar[int] = 14
    TOP: ClassVar[int] = 12
    BOTTOM: ClassVar[int] = 44

    title: str
    """What the numbers are of."""
    axis: str
    """What the vertical axis counts: its unit, and which way is better."""
    lines: Sequence[Line]
    used: float | None = None
    """The threshold that is used; it is marked on every line."""
    min_size: int | None = None
    """Which lines are shown at first."""
    lower_is_better: bool = False

    @property
    def shown(self) -> list[Line]:
        """The lines that are shown at first."""
        return [line for line in self.lines if line.min_size in (None, self.min_size)]

    @property
    def thresholds(self) -> list[float]:
        """All thresholds, ascending."""
        return sorted({threshold for line in self.lines for threshold in line.values})

    @property
    def ticks(self) -> list[float]:
        """The ticks of the vertical axis, from 0 to its end."""
        values = _known(self.lines)
        if max(values, default=0.0) <= 1:
            return round_ticks(1.0)
        main = [value for value in _known(line for line in self.lines if line.series == 0) if value > 0]
        if self.lower_is_better and main:
            return round_ticks(min(max(values), ROOM * min(main)))
        return round_ticks(max(values))

    @property
    def top(self) -> float:
        """The end of the vertical axis."""
        return self.ticks[-1]

    @property
    def cut(self) -> bool:
        """Whether a line leaves the chart."""
        return max(_known(self.lines), default=0.0) > self.top

    def x(self, threshold: float) -> float:
        """Return where a threshold lies."""
        return round(self.LEFT + threshold * (self.WIDTH - self.LEFT - self.RIGHT), 1)

    def y(self, value: float) -> float:
        """Return where a score lies; one beyond the top is a little above it."""
        inside = min(value / self.top, 1.02)
        return round(self.HEIGHT - self.BOTTOM - inside * (self.HEIGHT - self.TOP - self.BOTTOM), 1)

    def path(self, line: Line) -> str:
        """Return the `d` of an SVG path, with a gap where the score is undefined."""
        points = sorted(line.values.items())
        runs = [
            [(t, v) for t, v in run if v is not None]
            for known, run in groupby(points, lambda p: p[1] is not None)
            if known
        ]
        return "".join("M" + "L".join(f"{self.x(t)} {self.y(v)}" for t, v in run) for run in runs)

    def to_json(self) -> dict[str, Any]:
        """Return what a script needs to move along the lines: the scores by the order of `thresholds`."""
        lines = [
            {"size": line.min_size, "values": [line.values.get(threshold) for threshold in self.thresholds]}
            for line in self.lines
        ]
        return {"top": self.top, "lines": lines}


def draw_curves(title: str, curves: Curves, used: float | None = None) -> list[Chart]:
    """Return charts of all scores over the threshold: the shares in one chart, every other score in its own.

    Args:
        title: What the numbers are of.
        curves: The numbers; where one is undefined the line has a gap.
        used: The threshold that was used, marked with a line.
    """
    names = list(dict.fromkeys(name for numbers in curves.values() for name in numbers))
    titles = {name: METRICS[name].title if name in METRICS else name for name in names}
    lines = {name: Line(titles[name], {t: numbers.get(name) for t, numbers in curves.items()}, 0) for name in names}
    shares = [name for name in names if max(_known([lines[name]]), default=0.0) <= 1]
    groups = [shares] * bool(shares) + [[name] for name in names if name not in shares]
    return [
        Chart(title, SHARE if group is shares else titles[group[0]], lines_of(lines[name] for name in group), used)
        for group in groups
    ]


def lines_of(lines: Iterable[Line]) -> list[Line]:
    """Return lines with a colour each."""
    return [Line(line.title, line.values, series, line.min_size) for series, line in enumerate(lines)]


def round_ticks(top: float) -> list[float]:
    """Return round numbers from 0 to at least `top`, which is more than 0, in at most `MOST_TICKS` steps."""
    power = 10.0 ** floor(log10(top / MOST_TICKS))
    step = next(one * power for one in STEPS if ceil(round(top / (one * power), 9)) <= MOST_TICKS)
    digits = max(0, 1 - floor(log10(step)))
    return [round(i * step, digits) for i in range(ceil(round(top / step, 9)) + 1)]


def _known(lines: Iterable[Line]) -> list[float]:
    return [value for line in lines for value in line.values.values() if value is not None]
