"""The picture of sections, and the page."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from connectomics.config.decoding import DecodingConfig
from connectomics.drawing.figures import Gray, draw_outcomes, to_gray, write_png
from connectomics.geometry import Box
from connectomics.metrics.judged import Judged
from connectomics.reports.page import PageDraft, ReportHead
from connectomics.reports.reported import ReportedVolume
from connectomics.reports.section_picture import busiest, draw_sections, lay_out
from connectomics.runs.job import Job, Saving
from connectomics.screen.console import say
from connectomics.volumes.labelled import LabelledSource
from connectomics.volumes.read import open_volume


def write_picture(job: Job, volume: LabelledSource, judged: Judged) -> None:
    """Draw the sections with the most foreground: raw, and beside or below with the objects outlined.

    Args:
        job: Where the picture goes.
        volume: The image.
        judged: The objects, and what became of each.
    """
    picture = draw_sections(judged, lambda z: _gray_of(job, volume, z), job.decoder.noun)
    write_png(job.run.picture(volume.name), picture)


def write_plain_picture(job: Job, volume: LabelledSource, foreground: npt.NDArray[np.int64], saving: Saving) -> None:
    """Draw the sections with the most foreground from the file of the mask, where no more of it is in memory.

    Args:
        job: Where the mask lies and the picture goes.
        volume: The image.
        foreground: Predicted voxels of each section.
        saving: How the mask was written.
    """
    mask = open_volume(str(job.run.mask(volume.name, saving.suffix)))
    drawn = []
    for z in busiest(foreground):
        gray, ids = _gray_of(job, volume, z), mask.read(Box.sections(z, z + 1, mask.shape))[0, 0]
        drawn.append((gray, draw_outcomes(gray, [("found", ids > 0)], [ids], max(1, len(job.decoder.classes)))))
    write_png(job.run.picture(volume.name), lay_out(drawn, []))


def _least(decoding: DecodingConfig) -> str:
    """Return the minimum sizes of an object in words."""
    told = [f"{decoding.min_size} voxels"] if decoding.min_size > 1 else []
    return " and ".join(told + ([f"{decoding.min_size_um3:g} µm³"] if decoding.min_size_um3 else [])) or "none"


def _gray_of(job: Job, volume: LabelledSource, z: int) -> Gray:
    """Return the grey values of a section (Y, X)."""
    box = Box.sections(z, z + 1, volume.image.shape)
    return to_gray(job.intensity(volume).scale(volume.image.read(box)[0, 0]))


def begin_page(job: Job) -> PageDraft:
    """Return the page in the making of a job that writes one."""
    return PageDraft(job.run.report, [volume.image.shape for volume in job.volumes], job.decoding.threshold)


def add_to_page(draft: PageDraft, job: Job, volume: LabelledSource, judged: Judged, saving: Saving) -> None:
    """Show a volume on the page.

    Args:
        draft: The page.
        job: What predicted.
        volume: The image.
        judged: The objects, and what became of each.
        saving: How the prediction was written.
    """
    draft.add(
        ReportedVolume(
            name=volume.name,
            image=volume.image,
            intensity=job.intensity(volume),
            judged=judged,
            probability=open_volume(str(job.run.prediction(volume.name, saving.suffix))),
            scale=saving.type.scale,
            foreground=job.decoder.foreground,
        )
    )


def page_made_from(path: Path) -> str | None:
    """Return what a page says that it was made from; None where there is no page that says so."""
    try:
        with path.open(encoding="utf-8", errors="replace") as page:
            found = re.search(r'<meta name="made_from" content="([0-9a-f]*)">', page.read(2000))
    except OSError:
        return None
    return found[1] if found else None


def _listed(one_or_several: Any) -> list[Any]:
    return one_or_several if isinstance(one_or_several, list) else [one_or_several]


def publish_page(draft: PageDraft, job: Job, scores: Mapping[str, Any] | None, made_from: str) -> None:
    """Write `report.html` beside `metrics.json`, and say where it is.

    Args:
        draft: The page, with its volumes.
        job: What predicted and scored, and where it lies.
        scores: The content of `metrics.json`; None without labels.
        made_from: Short digest of what the page depends on.
    """
    stamp, decoding = job.stamp if scores is None else scores["stamp"], job.decoding
    facts = {
        "checkpoint": ", ".join(str(path) for path in _listed(stamp["checkpoint"])),
        "step": ", ".join(f"{step:,}" for step in _listed(stamp["step"])),
        "made": str(stamp["created"]),
        "threshold": f"{decoding.threshold:g}",
        "minimum size": _least(decoding),
        "connectomics": str(stamp["connectomics"]),
    }
    noun = job.decoder.noun
    became = "found" if scores is None else "found, invented and missed"
    head = ReportHead(f"{job.title}: {noun} {became}", facts, decoding.threshold, noun, job.decoder.classes, made_from)
    draft.publish(head, scores, job.rule)
    say(f"what became of each of the {noun}, to look at in a browser: {job.run.report}")
