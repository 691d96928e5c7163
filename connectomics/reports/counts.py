"""How many synapses there are and what became of them, in words: for the console, the picture and the page."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from connectomics.drawing.outcome_styles import STYLES
from connectomics.metrics.outcomes import Outcome

Counts = Mapping[str, Any]
"""The entry `synapse_detection` of a volume in `metrics.json`."""


def key_of(kind: str) -> str:
    """Return a kind of object as it stands in JSON and in a style sheet."""
    return kind.replace(" ", "_")


def detection_sentence(counts: Counts, noun: str) -> str:
    """Say how many annotated objects were detected, how many missed, and how many predicted ones are invented."""
    merged = counts["detected"] - counts["found"] - counts["poorly_outlined"] - counts["split"]
    covered = f" ({merged:,} of them only as parts of mergers)" if merged else ""
    return (
        f"{counts['detected']:,} of {counts['annotated']:,} annotated {noun} detected{covered}, "
        f"{counts['missed']:,} missed; {counts['invented']:,} of {counts['predicted']:,} predicted {noun} invented"
    )


def outcome_phrases(counts: Counts) -> list[tuple[str, str]]:
    """Return each outcome with what is written of it, such as "found 25"."""
    return [(str(outcome), f"{STYLES[outcome].title} {counts[outcome.key]:,}") for outcome in Outcome]


def speck_sentence(counts: Counts, noun: str) -> str:
    """Say how many of the predicted objects are far smaller than annotated ones; "" if none is."""
    if not counts["specks"]:
        return ""
    return (
        f"{counts['specks']:,} of {counts['predicted']:,} predicted {noun} are below {counts['speck_voxels']:,} "
        "voxels, a tenth of the annotated ones' median"
    )


def score_sentence(counts: Counts) -> str:
    """Say precision, recall and F1 of detection."""
    named = (("F1", "f1"), ("precision", "precision"), ("recall", "recall"), ("one-to-one F1", "one_to_one_f1"))
    return "detection " + ", ".join(
        f"{title} {'undefined' if counts[key] is None else format(counts[key], '.3g')}" for title, key in named
    )


@dataclass(frozen=True, slots=True)
class Chip:
    """One outcome with its number."""

    key: str
    """Name of its style."""
    text: str
    meaning: str


@dataclass(frozen=True, slots=True)
class Headline:
    """The first thing that a page says of a volume."""

    name: str
    first: str
    """How many synapses there are, and how many of them were found."""
    rest: str
    outcomes: tuple[Chip, ...]
    """What became of them; empty without a label."""
    specks: str = ""
    """How many of the predicted ones are far smaller than annotated ones; "" if none is."""


def headline(volume: Mapping[str, Any], noun: str) -> Headline:
    """Return how many synapses a volume has, found and missed.

    Args:
        volume: Entry of the page: `name`, `predicted`, `detection`, `turned`.
        noun: What the objects are called, in the plural.
    """
    counts = volume["detection"]
    if counts is None:
        return Headline(volume["name"], f"{volume['predicted']:,}", f" {noun} found", ())
    first, rest = detection_sentence(counts, noun).split("; ")
    chips = [Chip(key_of(word), text, STYLES[word].meaning) for word, text in outcome_phrases(counts)]
    if volume["turned"]:
        text = f"of these, {volume['turned']:,} the wrong way round"
        chips.append(Chip("turned", text, STYLES["turned"].meaning))
    return Headline(volume["name"], first, f"; {rest}", tuple(chips), speck_sentence(counts, noun))
