"""How each outcome is drawn, in pictures and on pages: one palette for all, told apart by the kind of line as well.

Any two colours differ by 20 and more in CIELAB, also for people who lack one of the three kinds of cones (simulated
after Machado, Oliveira and Fernandes 2009, doi 10.1109/TVCG.2009.113); a test holds them to it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

RGB = tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class OutcomeStyle:
    """The line around an object, and what it means."""

    title: str
    """What people read."""
    color: RGB
    dash: tuple[int, ...]
    """Lengths of lines and gaps, in turn, in pixels; () is one unbroken line."""
    meaning: str
    """One sentence, without its first word in capitals and without a full stop."""

    @property
    def hex(self) -> str:
        """The colour as CSS has it."""
        return "#{:02x}{:02x}{:02x}".format(*self.color)


STYLES: Mapping[str, OutcomeStyle] = {
    "found": OutcomeStyle("found", (72, 220, 255), (), "one predicted object on one annotated synapse"),
    "poorly outlined": OutcomeStyle(
        "poorly outlined",
        (60, 145, 195),
        (12, 4),
        "one predicted object on one annotated synapse, unlike in outline",
    ),
    "merged": OutcomeStyle("merged", (192, 75, 255), (9, 3, 2, 3), "one predicted object over several synapses"),
    "split": OutcomeStyle("split", (255, 194, 140), (5, 5), "several predicted objects on one annotated synapse"),
    "missed": OutcomeStyle("missed", (190, 205, 20), (2, 3), "an annotated synapse on which nothing was predicted"),
    "invented": OutcomeStyle("invented", (205, 98, 36), (7, 3), "a predicted object on which nothing was annotated"),
    "turned": OutcomeStyle(
        "wrong way round", (255, 1, 108), (9, 3, 2, 3, 2, 3), "in the right place, its sides the wrong way round"
    ),
    "annotated": OutcomeStyle("annotation", (255, 255, 255), (4, 2), "the annotation of what was detected"),
}
"""Outcome to its style: the six of `metrics.outcomes.Outcome`; what has its sides the wrong way round; and the
annotation of what was detected."""
