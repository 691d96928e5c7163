"""What is looked at after a test, made from the files that it wrote: pictures of sections, and the page."""

from __future__ import annotations

import json
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from connectomics.config import Config
from connectomics.decoding import pick_decoder
from connectomics.geometry import Box
from connectomics.inference import SAVED_TYPES
from connectomics.reports.figures import compared, stacked, to_gray, write_png
from connectomics.reports.page import ReportHead, write_report
from connectomics.reports.reported import ReportedVolume
from connectomics.runs.console import say
from connectomics.runs.folder import RunFolder
from connectomics.runs.score import match_rule
from connectomics.volumes.intensity import IntensityRange
from connectomics.volumes.labelled import LabelledSource, measure_image
from connectomics.volumes.labels import label_ids, read_label
from connectomics.volumes.read import open_volume
from connectomics.volumes.source import ArraySource, VolumeSource
from connectomics.volumes.write import WRITERS

PICTURED_SECTIONS = 4


def write_picture(
    volume: LabelledSource,
    intensity: IntensityRange,
    foreground: npt.NDArray[np.int64],
    config: Config,
    run: RunFolder,
) -> None:
    """Draw the sections with the most foreground: raw, and beside or below with predicted and annotated ones outlined.

    Args:
        volume: Image and label; its mask is read from the run.
        intensity: Which grey values become black and white.
        foreground: Predicted voxels of each section.
        config: The settings.
        run: Where the mask lies and the picture goes.
    """
    mask = open_volume(str(run.mask(volume.name, WRITERS[config.inference.save_backend][0])))
    busiest = sorted(foreground.argsort(kind="stable")[::-1][:PICTURED_SECTIONS].tolist())
    _, y, x = volume.image.shape
    wide = int(x > y)  # wide sections lie below one another, others side by side
    label = None if volume.label is None else _annotated(volume.label, config)
    parts = max(1, len(pick_decoder(config.decoding).classes))
    pairs = []
    for z in busiest:
        box = Box((z, 0, 0), (z + 1, y, x))
        gray = to_gray(intensity.scale(volume.image.read(box)[0, 0]))
        truth = None if label is None else label_ids(label.read(box)[0], label.info.layout).ids[0]
        outlined = compared(gray, mask.read(box)[0, 0], truth, parts)
        pairs.append(stacked([np.repeat(gray[..., np.newaxis], 3, axis=-1), outlined], axis=0))
    write_png(run.picture(volume.name), stacked(pairs, axis=1 - wide))


def report_results(run: RunFolder, volumes: Sequence[LabelledSource], config: Config) -> None:
    """Write `report.html` beside `metrics.json`, unless the settings say otherwise, and say where it is.

    Args:
        run: The run whose predictions, masks and scores are written.
        volumes: What was predicted and scored.
        config: The settings.
    """
    if not (config.evaluation.enabled and config.evaluation.report and config.inference.save_results):
        return
    scores = json.loads(run.metrics.read_text(encoding="utf-8"))
    stamp = scores["stamp"]
    facts = {
        "checkpoint": str(stamp["checkpoint"]),
        "step": f"{stamp['step']:,}",
        "scored": str(stamp["created"]),
        "threshold": f"{config.decoding.threshold:g}",
        "least size": f"{config.decoding.min_size} voxels" if config.decoding.min_size > 1 else "none",
        "connectomics": str(stamp["connectomics"]),
    }
    decoder = pick_decoder(config.decoding)
    title = f"{config.experiment_name}: {decoder.noun} found, invented and missed"
    head = ReportHead(title, facts, config.decoding.threshold, decoder.classes)
    scored = [volume for volume in volumes if volume.name in scores["volumes"]]
    write_report(run.report, head, scores, [_reported(volume, config, run) for volume in scored], match_rule(config))
    say(f"scores, sections and mistakes to look at in a browser: {run.report}")


def _reported(volume: LabelledSource, config: Config, run: RunFolder) -> ReportedVolume:
    assert volume.label is not None
    suffix = WRITERS[config.inference.save_backend][0]
    return ReportedVolume(
        name=volume.name,
        image=volume.image,
        intensity=measure_image(volume, config.data.image_transform),
        predicted=open_volume(str(run.mask(volume.name, suffix))),
        label=_annotated(volume.label, config),
        annotated=volume.mask,
        probability=open_volume(str(run.prediction(volume.name, suffix))),
        scale=SAVED_TYPES[config.inference.save_dtype].scale,
        foreground=pick_decoder(config.decoding).foreground,
    )


def _annotated(label: VolumeSource, config: Config) -> VolumeSource:
    """Return a label with the ids as the decoder numbers them; as it lies in its file where the parts have no names."""
    decoder = pick_decoder(config.decoding)
    if not decoder.classes:
        return label
    return ArraySource.of(decoder.annotated(read_label(label).ids, config.decoding), label.info.spacing_nm)
