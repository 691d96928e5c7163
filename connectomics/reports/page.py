"""`report.html`: a result as one file that a browser shows, with a viewer of its sections."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self, final

from connectomics.drawing.outcome_styles import STYLES
from connectomics.files import write_whole
from connectomics.geometry import ZYX
from connectomics.metrics.matching import MatchRule
from connectomics.reports.charts import draw_curves
from connectomics.reports.counts import headline, key_of
from connectomics.reports.listed import KINDS
from connectomics.reports.pictures import choose_size
from connectomics.reports.reported import ReportedVolume, WrittenVolume, write_volume_data
from connectomics.reports.scores import tabulate_scores
from connectomics.reports.templates import dump_json, fill, pieces_of


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
        values = _values(head, scores, self._written, rule)
        with write_whole(self._path) as partial, partial.open("w", encoding="utf-8") as page:
            fill(page, "report.html", **values, data=pieces_of(self._data))


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


def _values(
    head: ReportHead, scores: Mapping[str, Any] | None, written: Sequence[WrittenVolume], rule: MatchRule
) -> dict[str, Any]:
    """Return what the template names, but for the data of the volumes."""
    entries = [one.entry for one in written]
    curves = {one.entry["name"]: one.curves for one in written if one.curves is not None}
    labelled = any(entry["detection"] is not None for entry in entries)
    kinds = [
        {"key": key_of(kind), "title": STYLES[kind].title}
        for kind in KINDS
        if kind == "found" or (labelled and (kind != "turned" or head.classes))
    ]
    data = {
        "volumes": entries, "parts": head.classes, "kinds": kinds, "labelled": labelled,
        "codes": [key_of(kind) for kind in KINDS], "noun": head.noun,
    }  # fmt: skip
    return {
        "head": head,
        "headlines": [headline(entry, head.noun) for entry in entries],
        "scores": tabulate_scores(scores) if scores else None,
        "rule": describe_rule(rule, head.classes) if labelled else "",
        "labelled": labelled,
        "charts": [chart for name, own in curves.items() for chart in draw_curves(name, own, head.threshold)],
        "entries": dump_json(data),
    }


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
