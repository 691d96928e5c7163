"""What a metric is: one record, which the scores, the tables, the pages and the tuning all go by."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from connectomics.metrics.label_pair import LabelPair
from connectomics.metrics.matching import MatchRule

Score = float | dict[str, Any]
"""A number, or named numbers, some of which may be None; finite, and ready for JSON."""


@dataclass(frozen=True, slots=True)
class Metric:
    """One entry of `METRICS`: how a prediction is scored, and how the score is read."""

    score: Callable[[LabelPair, MatchRule], Score]
    """Scores a prediction; the rule says when two synapses are the same one. Raises UndefinedError, with the reason,
    where no number exists."""
    lower_is_better: bool
    """Whether a low score is a good one, as with a distance."""
    title: str = ""
    """What a page calls the score; its name when empty."""
    meaning: str = ""
    """What it tells, in plain words: the middle of a sentence, for pages."""
    unit: str = ""
    """Unit of the score, such as "nm"; empty for a share."""
    parts: Mapping[str, str] = field(default_factory=dict)
    """For a score of several numbers: the ones that tables show, with their titles. The first one represents the score
    where a single number is wanted, unless `decides` names another. Empty for a score that is one number."""
    decides: str = ""
    """Which of the parts tuning goes by, if not the first."""
    curves: tuple[str, ...] = ()
    """Parts that tuning writes, under their own names, and draws beside the score."""
    figure: str = ""
    """Scores with the same figure are drawn together over the threshold; "" is a figure of its own."""
    needs_sides: bool = False
    """Whether the metric needs ids that tell the two sides of a synapse apart."""
    swept: bool = False
    """Whether `metrics.sweep` scores all thresholds at once; otherwise tuning scores each setting on its own."""

    def number(self, score: Score | None) -> float | None:
        """Return the one number that stands for a score; None where it is undefined."""
        return score[self._deciding] if isinstance(score, dict) else score

    def columns(self, name: str) -> dict[str | None, str]:
        """Return the parts that a table shows, with their titles; a score that is one number has the part None."""
        return dict(self.parts.items()) or {None: name}

    def lines(self, name: str) -> dict[str, str]:
        """Return the names under which tuning writes the score and its curves, with the titles of their lines."""
        deciding = self.parts[self._deciding] if self.parts else self.title or name
        return {name: deciding} | {part: self.parts[part] for part in self.curves}

    @property
    def direction(self) -> str:
        """Which way is better, in a word."""
        return "lower" if self.lower_is_better else "higher"

    def described(self, name: str) -> str:
        """Return what the score is called, its unit, and which way is better."""
        unit = f", {self.unit}" if self.unit else ""
        return f"{self.title or name}{unit}; {self.direction} is better"

    @property
    def _deciding(self) -> str:
        return self.decides or next(iter(self.parts))
