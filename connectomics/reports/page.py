"""`report.html`: a result as one file that a browser shows, with a viewer of its sections."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from connectomics.files import write_whole
from connectomics.metrics.matching import MatchRule
from connectomics.reports.charts import draw_curves
from connectomics.reports.pictures import choose_size
from connectomics.reports.reported import MAX_LISTED, ReportedVolume, WrittenVolume, write_volume_data
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
        fill(page, "report.html", **_values(head, scores, written, rule), data=pieces_of(data))


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


def _values(
    head: ReportHead, scores: Mapping[str, Any], written: Sequence[WrittenVolume], rule: MatchRule
) -> dict[str, Any]:
    """Return what the template names, but for the data of the volumes."""
    curves = {one.entry["name"]: one.curves for one in written if one.curves is not None}
    entries = {"volumes": [one.entry for one in written], "listed": MAX_LISTED, "parts": head.classes}
    return {
        "head": head,
        "scores": tabulate_scores(scores),
        "rule": describe_rule(rule, head.classes),
        "charts": [chart for name, own in curves.items() for chart in draw_curves(name, own, head.threshold)],
        "entries": dump_json(entries),
    }


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
