"""`report.html`: a result as one file that a browser shows, with a viewer of its sections."""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self, final

from connectomics.drawing.outcome_styles import STYLES
from connectomics.files import write_whole
from connectomics.geometry import ZYX
from connectomics.metrics.matching import MatchRule
from connectomics.reports.charts import draw_curves
from connectomics.reports.counts import describe_counts, key_of, outline_rules
from connectomics.reports.listed import KINDS
from connectomics.reports.pictures import choose_size
from connectomics.reports.reported import ReportedVolume, WrittenVolume, dump_json, write_volume_data
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
    noun: str = "synapses"
    """What the objects are called, in the plural."""
    classes: tuple[str, ...] = ()
    """Names of the parts of an object, such as the two sides of a synapse, as the decoder has them."""
    made_from: str = ""
    """Identifies what the page was made from."""


@final
class PageDraft:
    """A page in the making: a volume is added when its objects are known, the scores at the end.

    Use it as a context. Pictures and outlines wait in a file without a name beside the page, so one volume at a time is
    in memory, and it is the one that was scored: nothing is read or labelled again for the page.
    """

    def __init__(self, path: Path, shapes: Sequence[ZYX], threshold: float) -> None:
        """Prepare a page.

        Args:
            path: The file that will be written.
            shapes: Those of all volumes that may be added, which share the room there is for pictures.
            threshold: Threshold of the masks.
        """
        self._path, self._shapes, self._threshold = path, list(shapes), threshold
        self._written: list[WrittenVolume] = []
        self._data: IO[str] | None = None

    def __enter__(self) -> Self:
        self._data = tempfile.TemporaryFile("w+", encoding="utf-8", dir=self._path.parent)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        assert self._data is not None
        self._data.close()

    def add(self, volume: ReportedVolume) -> None:
        """Write the pictures and outlines of a volume.

        Raises:
            UserError: If its files cannot be read.
        """
        assert self._data is not None
        size = choose_size(volume.image.shape, self._shapes)
        self._written.append(write_volume_data(self._data, len(self._written), volume, size, self._threshold))

    def publish(self, head: ReportHead, scores: Mapping[str, Any] | None, rule: MatchRule) -> None:
        """Write the page, whole.

        Args:
            head: The run.
            scores: The content of `metrics.json`: `volumes` and `mean`; None where nothing was scored.
            rule: When a predicted and an annotated object are the same synapse.

        Raises:
            UserError: If the page cannot be written.
        """
        assert self._data is not None
        self._data.seek(0)
        slots = _slots(head, scores, self._written, rule, self._data)
        with write_whole(self._path) as partial, partial.open("w", encoding="utf-8") as page:
            _fill(page, slots)


def write_report(
    path: Path,
    head: ReportHead,
    scores: Mapping[str, Any] | None,
    volumes: Iterable[ReportedVolume],
    shapes: Sequence[ZYX],
    rule: MatchRule | None = None,
) -> None:
    """Write one self-contained HTML file: counts, scores, curves over the threshold, sections, a list of the objects.

    It needs no network and no server. Raw sections are JPEG of quality 60 whose longest side is at most 900 pixels,
    probabilities PNG of 16 levels, at most 450 pixels; outlines are vector paths in voxels, exact to a voxel. A volume
    of 125 x 1250 x 1250 makes about 35 MB; above 300 million raw pixels, almost three such volumes, all of them are
    scaled down further.

    Args:
        path: The file to write; it appears when it is whole.
        head: The run.
        scores: The content of `metrics.json`: `volumes` and `mean`; None where nothing was scored.
        volumes: What the viewer shows, in this order; one at a time is asked for.
        shapes: Those of the volumes.
        rule: When a predicted and an annotated component are the same synapse; the default rule when None.

    Raises:
        UserError: If a volume cannot be read, or the page not written.
    """
    with PageDraft(path, shapes, head.threshold) as draft:
        for volume in volumes:
            draft.add(volume)
        draft.publish(head, scores, rule or MatchRule())


def _slots(
    head: ReportHead,
    scores: Mapping[str, Any] | None,
    written: Sequence[WrittenVolume],
    rule: MatchRule,
    data: IO[str],
) -> dict[str, Callable[[IO[str]], object]]:
    """Return what fills each place of the template."""
    drawn = [draw_curves(one.entry["name"], one.curves, head.threshold) for one in written if one.curves is not None]
    labelled = any(one.entry["detection"] is not None for one in written)
    kinds = [
        {"key": key_of(kind), "title": STYLES[kind].title}
        for kind in KINDS
        if kind == "found" or (labelled and (kind != "turned" or head.classes))
    ]
    entries = {
        "volumes": [one.entry for one in written], "parts": head.classes, "kinds": kinds, "labelled": labelled,
        "codes": [key_of(kind) for kind in KINDS], "noun": head.noun,
    }  # fmt: skip
    texts = {
        "title": escape(head.title),
        "made_from": escape(head.made_from),
        "facts": _facts(head.facts),
        "headline": describe_counts([one.entry for one in written], head.noun),
        "scores": _scores(scores) if scores else "",
        "rule": escape(describe_rule(rule, head.classes)) if labelled else "",
        "curves": _curves(drawn, labelled),
        "style": (TEMPLATE / "report.css").read_text(encoding="utf-8") + outline_rules(),
        "script": (TEMPLATE / "report.js").read_text(encoding="utf-8"),
        "entries": dump_json(entries),
    }
    return {name: _writes(text) for name, text in texts.items()} | {"data": lambda page: shutil.copyfileobj(data, page)}


def _curves(drawn: Sequence[str], labelled: bool) -> str:
    """Return the section on thresholds; nothing without a label."""
    if not labelled:
        return ""
    figures = "\n".join(drawn) or "<p>The probabilities were not saved.</p>"
    return (
        '<section aria-labelledby="curves-title"><h2 id="curves-title">Thresholds</h2><p>Each voxel counts, against '
        "the saved probabilities; the line marks the threshold of this mask.</p>"
        f'<div class="charts">{figures}</div></section>'
    )


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
    """Say when a predicted and an annotated object belong together, and when their parts are the right way round."""
    near = "" if rule.max_distance_nm is None else f", or whose centres lie within {rule.max_distance_nm:g} nm,"
    what = (
        f"objects ({' and '.join(classes)} together)" if classes else f"components (connectivity {rule.connectivity})"
    )
    joined = (
        f"Predicted and annotated {what} that share a voxel{near} belong together. One on one is found from an "
        f"intersection over union of {rule.min_iou:g} on, below that it is poorly outlined."
    )
    ways = " They are the right way round when each part shares more voxels with its like than with the other part."
    return joined + ways if classes else joined


def _facts(facts: Mapping[str, str]) -> str:
    return "".join(f"<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd></div>" for name, value in facts.items())


def _scores(scores: Mapping[str, Any]) -> str:
    """Return the table of scores, with what each means, and the reasons for what is undefined, below it."""
    table = tabulate_scores(scores)
    head = "".join(f"<th scope=col>{escape(title)}</th>" for title in ("volume", *table.titles))
    rows = "".join(_row(name, cells) for name, cells in table.rows.items())
    notes = "".join(f"<li>{escape(note)}</li>" for note in (*table.notes, *table.meanings))
    listed = f'<ul class="notes">{notes}</ul>' if notes else ""
    return (
        '<section aria-labelledby="scores-title"><h2 id="scores-title">Scores</h2><div class="scrolls">'
        f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>{listed}</section>"
    )


def _row(name: str, cells: Iterable[str]) -> str:
    kind = ' class="mean"' if name == "mean" else ""
    return f"<tr{kind}><th scope=row>{escape(name)}</th>{''.join(f'<td>{escape(cell)}</td>' for cell in cells)}</tr>"
