"""How many synapses there are and what became of them, in words: for the console, the picture and the page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
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
    return (
        f"{counts['detected']:,} of {counts['annotated']:,} annotated {noun} detected, {counts['missed']:,} missed; "
        f"{counts['invented']:,} of {counts['predicted']:,} predicted {noun} invented"
    )


def outcome_phrases(counts: Counts) -> list[tuple[str, str]]:
    """Return each outcome with what is written of it, such as "found 25"."""
    return [(str(outcome), f"{STYLES[outcome].title} {counts[outcome.key]:,}") for outcome in Outcome]


def score_sentence(counts: Counts) -> str:
    """Say precision, recall and F1 of detection."""
    named = (("F1", "f1"), ("precision", "precision"), ("recall", "recall"), ("one-to-one F1", "one_to_one_f1"))
    return "detection " + ", ".join(
        f"{title} {'undefined' if counts[key] is None else format(counts[key], '.3g')}" for title, key in named
    )


def describe_counts(volumes: Sequence[Mapping[str, Any]], noun: str) -> str:
    """Return the first thing that a page says, as HTML: of each volume, how many synapses it has, found and missed.

    Args:
        volumes: Entries of the page: `name`, `predicted`, `detection`, `turned`.
        noun: What the objects are called, in the plural.
    """
    return "".join(_headline(volume, noun, len(volumes) > 1) for volume in volumes)


def outline_rules() -> str:
    """Return the style sheet of the outlines: a colour and a kind of line for each kind of object."""
    colors = "".join(f"--{key_of(kind)}:{style.hex};" for kind, style in STYLES.items())
    rules = (
        f".{key_of(kind)} path{{stroke:var(--{key_of(kind)});stroke-width:{1.4 if kind == 'annotated' else 2.2};"
        f"stroke-dasharray:{' '.join(map(str, style.dash)) or 'none'}}}"
        for kind, style in STYLES.items()
    )
    return f"\n:root{{{colors}}}\n" + "\n".join(rules) + "\n"


def _headline(volume: Mapping[str, Any], noun: str, named: bool) -> str:
    name = f"<h2>{escape(volume['name'])}</h2>" if named else ""
    counts = volume["detection"]
    if counts is None:
        return f'{name}<p class="headline"><b>{volume["predicted"]:,}</b> {escape(noun)} found</p>'
    first, last = detection_sentence(counts, noun).split("; ")
    chips = "".join(
        f'<li title="{escape(STYLES[word].meaning)}">{swatch(word)}{escape(text)}</li>'
        for word, text in outcome_phrases(counts)
    )
    turned = f"<li>{swatch('turned')}of the found ones, {volume['turned']:,} the wrong way round</li>"
    more = turned if volume["turned"] else ""
    return (
        f'{name}<p class="headline"><b>{escape(first)}</b>; {escape(last)}</p><ul class="outcomes">{chips}{more}</ul>'
    )


def swatch(kind: str) -> str:
    """Return a line in the style of a kind of object, as SVG."""
    return f'<svg class="swatch {key_of(kind)}" viewBox="0 0 30 12" aria-hidden="true"><path d="M1 6h28"/></svg>'
