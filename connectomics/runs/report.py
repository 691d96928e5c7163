"""The page of a test, from the files that it wrote."""

from __future__ import annotations

import json
from collections.abc import Sequence

from connectomics.config import Config
from connectomics.inference import SAVED_TYPES
from connectomics.reports.page import ReportHead, write_report
from connectomics.reports.reported import ReportedVolume
from connectomics.runs.console import say
from connectomics.runs.folder import RunFolder
from connectomics.volumes.labelled import LabelledSource, measure_image
from connectomics.volumes.read import open_volume
from connectomics.volumes.write import WRITERS


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
        "connectomics": str(stamp["connectomics"]),
    }
    head = ReportHead(f"{config.experiment_name}: clefts found, invented and missed", facts, config.decoding.threshold)
    scored = [volume for volume in volumes if volume.name in scores["volumes"]]
    write_report(run.report, head, scores, [_reported(volume, config, run) for volume in scored])
    say(f"scores, sections and mistakes to look at in a browser: {run.report}")


def _reported(volume: LabelledSource, config: Config, run: RunFolder) -> ReportedVolume:
    assert volume.label is not None
    suffix = WRITERS[config.inference.save_backend][0]
    return ReportedVolume(
        name=volume.name,
        image=volume.image,
        intensity=measure_image(volume, config.data.image_transform),
        predicted=open_volume(str(run.mask(volume.name, suffix))),
        label=volume.label,
        annotated=volume.mask,
        probability=open_volume(str(run.prediction(volume.name, suffix))),
        scale=SAVED_TYPES[config.inference.save_dtype].scale,
    )
