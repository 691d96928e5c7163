"""`report.html`: a result as one file that a browser shows, with a viewer of its sections."""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import IO, Any

from connectomics.files import write_whole
from connectomics.metrics.matching import MatchRule
from connectomics.reports.charts import draw_curves
from connectomics.reports.pictures import choose_size
from connectomics.reports.reported import MAX_LISTED, ReportedVolume, WrittenVolume, dump_json, write_volume_data
from connectomics.reports.scores import tabulate_scores

TEMPLATE = Path(__file__).parent / "template"
SLOT = re.compile(r"<!-- slot: (\w+) -->")


@dataclass(frozen=True, slots=True)
class ReportHead:
    """What a page says of the run that it shows."""

    title: str
    facts: Mapping[str, str]
    """Facts such as checkpoint, step and time, by name, in the order of the page."""
    threshold: float
    """Threshold of the masks."""
    classes: tuple[str, ...] = ()
    """Names of the parts of an object, such as the two sides of a synapse, as the decoder has them."""


def write_report(
    path: Path,
    head: ReportHead,
    scores: Mapping[str, Any],
    volumes: Sequence[ReportedVolume],
    rule: MatchRule | None = None,
) -> None:
    """Write one self-contained HTML file: numbers, curves over the threshold, sections, and a list of the mistakes.

    It needs no network and no server. One pass over the volumes makes it, with some sections, and the masks of one
    volume and the ids of its components, in memory. Raw sections are JPEG of quality 60 whose longest side is at
    most 900 pixels, probabilities PNG of 16 levels, at most 450 pixels; outlines are vector paths in voxels, exact to
    a voxel. A volume of 125 x 1250 x 1250 makes about 30 MB; above 300 million raw pixels, almost three such volumes,
    all of them are scaled down further.

    Args:
        path: The file to write; it appears when it is whole.
        head: The run.
        scores: The content of `metrics.json`: `volumes` and `mean`.
        volumes: What the viewer shows, in this order.
        rule: When a predicted and an annotated component are the same synapse; the default rule when None.

    Raises:
        UserError: If a volume cannot be read, or the page not written.
    """
    rule = rule or MatchRule()
    with (
        write_whole(path) as partial,
        tempfile.TemporaryFile("w+", encoding="utf-8", dir=path.parent) as data,
        partial.open("w", encoding="utf-8") as page,
    ):
        written = _write_data(data, volumes, head, rule)
        data.seek(0)
        _fill(page, _slots(head, scores, written, rule, data))


def _write_data(
    data: IO[str], volumes: Sequence[ReportedVolume], head: ReportHead, rule: MatchRule
) -> list[WrittenVolume]:
    shapes = [volume.image.shape for volume in volumes]
    return [
        write_volume_data(
            data, number, volume, choose_size(volume.image.shape, shapes), head.threshold, rule, head.classes
        )
        for number, volume in enumerate(volumes)
    ]


def _slots(
    head: ReportHead,
    scores: Mapping[str, Any],
    written: Sequence[WrittenVolume],
    rule: MatchRule,
    data: IO[str],
) -> dict[str, Callable[[IO[str]], object]]:
    """Return what fills each place of the template."""
    drawn = [draw_curves(one.entry["name"], one.curves, head.threshold) for one in written if one.curves is not None]
    entries = {"volumes": [one.entry for one in written], "listed": MAX_LISTED, "parts": head.classes}
    texts = {
        "title": escape(head.title),
        "facts": _facts(head.facts),
        "scores": _scores(scores),
        "rule": escape(describe_rule(rule, head.classes)),
        "curves": "\n".join(drawn) or "<p>The probabilities were not saved.</p>",
        "style": (TEMPLATE / "report.css").read_text(encoding="utf-8"),
        "script": (TEMPLATE / "report.js").read_text(encoding="utf-8"),
        "entries": dump_json(entries),
    }
    return {name: _writes(text) for name, text in texts.items()} | {"data": lambda page: shutil.copyfileobj(data, page)}


def _writes(text: str) -> Callable[[IO[str]], object]:
    """Return what writes a text."""
    return lambda page: page.write(text)


def _fill(page: IO[str], slots: Mapping[str, Callable[[IO[str]], object]]) -> None:
    """Write the template with its slots filled; what fills one is not searched for others."""
    pieces = SLOT.split((TEMPLATE / "report.html").read_text(encoding="utf-8"))
    for i, piece in enumerate(pieces):  # text, name of a slot, text, ...
        if i % 2:
            slots[piece](page)
        else:
            page.write(piece)


def describe_rule(rule: MatchRule, classes: Sequence[str] = ()) -> str:
    """Say when a predicted and an annotated object are matched, and when their parts are the right way round."""
    near = "" if rule.max_distance_nm is None else f", or when their centres lie within {rule.max_distance_nm:g} nm"
    what = (
        f"objects ({' and '.join(classes)} together)" if classes else f"components (connectivity {rule.connectivity})"
    )
    matched = (
        f"Predicted and annotated {what} are matched one to one when their intersection over union is at least "
        f"{rule.min_iou:g}{near}."
    )
    ways = " They are the right way round when each part shares more voxels with its like than with the other part."
    return matched + ways if classes else matched


def _facts(facts: Mapping[str, str]) -> str:
    return "".join(f"<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd></div>" for name, value in facts.items())


def _scores(scores: Mapping[str, Any]) -> str:
    """Return the table of scores, with the reasons for what is undefined below it."""
    table = tabulate_scores(scores)
    head = "".join(f"<th scope=col>{escape(title)}</th>" for title in ("volume", *table.titles))
    rows = "".join(_row(name, cells) for name, cells in table.rows.items())
    notes = "".join(f"<li>{escape(note)}</li>" for note in table.notes)
    listed = f'<ul class="notes">{notes}</ul>' if notes else ""
    return f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>{listed}"


def _row(name: str, cells: Iterable[str]) -> str:
    kind = ' class="mean"' if name == "mean" else ""
    return f"<tr{kind}><th scope=row>{escape(name)}</th>{''.join(f'<td>{escape(cell)}</td>' for cell in cells)}</tr>"
