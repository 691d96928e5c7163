"""Some sections of a volume as one picture: raw, beside it with every object in the style of what became of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from connectomics.drawing.figures import Color, Gray, draw_outcomes, stacked
from connectomics.drawing.legend import draw_legend
from connectomics.drawing.outcome_styles import STYLES
from connectomics.metrics.judged import Judged
from connectomics.metrics.outcomes import Outcome
from connectomics.reports.counts import outcome_phrases
from connectomics.reports.listed import KINDS, kinds_of, parted

PICTURED_SECTIONS = 4


def draw_sections(judged: Judged, gray_of: Callable[[int], Gray], noun: str) -> Color:
    """Return the sections with the most foreground: raw, and beside or below with the objects outlined, and a legend.

    Args:
        judged: The objects, and what became of each.
        gray_of: Returns the grey values of a section (Y, X).
        noun: What the objects are called, in the plural.
    """
    ids = judged.both.predicted_ids
    amounts = np.array([np.count_nonzero(section) for section in ids])
    drawn = [(gray := gray_of(z), _draw_section(judged, z, gray)) for z in busiest(amounts)]
    return lay_out(drawn, legend_entries(judged, noun))


def busiest(amounts: NDArray[np.int64]) -> list[int]:
    """Return the numbers of the sections with the most foreground, ascending, by the foreground of each."""
    return sorted(amounts.argsort(kind="stable")[::-1][:PICTURED_SECTIONS].tolist())


def lay_out(drawn: Sequence[tuple[Gray, Color]], legend: Sequence[tuple[str, str]]) -> Color:
    """Return sections, raw and drawn on, as one picture: wide ones below one another, others side by side.

    Args:
        drawn: Grey values (Y, X), and the same with lines, RGB (Y, X, 3).
        legend: The kinds of lines, each with what is written beside it; there is no legend without any.
    """
    wide = int(drawn[0][0].shape[1] > drawn[0][0].shape[0])
    pairs = [stacked([np.repeat(gray[..., np.newaxis], 3, axis=-1), lines], axis=0) for gray, lines in drawn]
    picture = stacked(pairs, axis=1 - wide)
    return np.concatenate([picture, draw_legend(legend, picture.shape[1])]) if legend else picture


def legend_entries(judged: Judged, noun: str) -> list[tuple[str, str]]:
    """Return the kinds of lines in a picture, each with what is written beside it: how many of them the volume has."""
    if judged.outcomes is None:
        return [("found", f"{len(judged.both.predicted):,} {noun} found")]
    turned = int(np.count_nonzero(judged.turned))
    ways = [("turned", f"{STYLES['turned'].title} {turned:,}")] if turned else []
    return [*outcome_phrases(judged.outcomes.to_json()), *ways]


def _draw_section(judged: Judged, z: int, gray: Gray) -> Color:
    pair, both, (ours, theirs) = judged.pair, judged.both, kinds_of(judged)
    predicted, truth = _codes(ours)[both.predicted_ids[z]], _codes(theirs)[both.truth_ids[z]]
    missed = truth == KINDS.index(Outcome.MISSED) + 1
    drawn = [(kind, predicted == KINDS.index(kind) + 1) for kind in KINDS if kind != Outcome.MISSED]
    parts = 2 if pair.sided else 1
    tinted = [
        next(parted(ids[z : z + 1], labels[z : z + 1], pair.sided))
        for ids, labels in ((both.predicted_ids, pair.predicted), (both.truth_ids, pair.truth))
    ]
    outlines = [*((kind, mask) for kind, mask in drawn if mask.any()), (str(Outcome.MISSED), missed)]
    return draw_outcomes(gray, outlines, [tinted[0], tinted[1] * missed], parts)


def _codes(kinds: Sequence[str]) -> NDArray[np.uint8]:
    """Return the place of each object's kind among `KINDS`, from 1; 0 for the background."""
    return np.array([0, *(KINDS.index(kind) + 1 for kind in kinds)], np.uint8)
