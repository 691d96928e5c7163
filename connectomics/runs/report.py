"""Pictures of sections and the page, made after a test from the files that it wrote."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from connectomics.config.decoding import DecodingConfig
from connectomics.decoding import Decoder
from connectomics.drawing.figures import compared, stacked, to_gray, write_png
from connectomics.geometry import Box
from connectomics.reports.page import ReportHead, write_report
from connectomics.reports.reported import ReportedVolume
from connectomics.runs.job import Job, Saving
from connectomics.screen.console import say
from connectomics.volumes.labelled import LabelledSource
from connectomics.volumes.labels import label_ids, read_label
from connectomics.volumes.read import open_volume
from connectomics.volumes.source import ArraySource, VolumeSource

PICTURED_SECTIONS = 4


def write_picture(job: Job, volume: LabelledSource, foreground: npt.NDArray[np.int64], saving: Saving) -> None:
    """Draw the sections with the most foreground: raw, and beside or below with predicted and annotated ones outlined.

    Args:
        job: Where the mask lies and the picture goes.
        volume: Image and label; its mask is read from the run.
        foreground: Predicted voxels of each section.
        saving: How the mask was written.
    """
    mask = open_volume(str(job.run.mask(volume.name, saving.suffix)))
    busiest = sorted(foreground.argsort(kind="stable")[::-1][:PICTURED_SECTIONS].tolist())
    _, y, x = volume.image.shape
    wide = int(x > y)  # wide sections lie below one another, others side by side
    label = None if volume.label is None else as_numbered(volume.label, job.decoder, job.decoding)
    parts = max(1, len(job.decoder.classes))
    pairs = []
    for z in busiest:
        box = Box.sections(z, z + 1, volume.image.shape)
        gray = to_gray(job.intensity(volume).scale(volume.image.read(box)[0, 0]))
        truth = None if label is None else label_ids(label.read(box)[0], label.info.layout).ids[0]
        outlined = compared(gray, mask.read(box)[0, 0], truth, parts)
        pairs.append(stacked([np.repeat(gray[..., np.newaxis], 3, axis=-1), outlined], axis=0))
    write_png(job.run.picture(volume.name), stacked(pairs, axis=1 - wide))


def write_page(job: Job, volumes: Sequence[LabelledSource], scores: Mapping[str, Any], saving: Saving) -> None:
    """Write `report.html` beside `metrics.json`, and say where it is.

    Args:
        job: What predicted and scored, and where it lies.
        volumes: What was predicted; those with scores are shown.
        scores: The content of `metrics.json`.
        saving: How predictions and masks were written.
    """
    stamp, decoding = scores["stamp"], job.decoding
    facts = {
        "checkpoint": str(stamp["checkpoint"]),
        "step": f"{stamp['step']:,}",
        "scored": str(stamp["created"]),
        "threshold": f"{decoding.threshold:g}",
        "minimum size": f"{decoding.min_size} voxels" if decoding.min_size > 1 else "none",
        "connectomics": str(stamp["connectomics"]),
    }
    title = f"{job.title}: {job.decoder.noun} found, invented and missed"
    head = ReportHead(title, facts, decoding.threshold, job.decoder.classes)
    shown = [_reported(job, volume, saving) for volume in volumes if volume.name in scores["volumes"]]
    write_report(job.run.report, head, scores, shown, job.rule)
    say(f"scores, sections and mistakes to look at in a browser: {job.run.report}")


def _reported(job: Job, volume: LabelledSource, saving: Saving) -> ReportedVolume:
    assert volume.label is not None
    return ReportedVolume(
        name=volume.name,
        image=volume.image,
        intensity=job.intensity(volume),
        predicted=open_volume(str(job.run.mask(volume.name, saving.suffix))),
        label=as_numbered(volume.label, job.decoder, job.decoding),
        annotated=volume.mask,
        probability=open_volume(str(job.run.prediction(volume.name, saving.suffix))),
        scale=saving.type.scale,
        foreground=job.decoder.foreground,
    )


def as_numbered(label: VolumeSource, decoder: Decoder, config: DecodingConfig) -> VolumeSource:
    """Return a label with the ids as the decoder numbers them; as it lies in its file where the parts have no names."""
    if not decoder.classes:
        return label
    return ArraySource.of(decoder.annotated(read_label(label).ids, config), label.info.spacing_nm)
