"""Compare what was found in a volume with its label."""

from __future__ import annotations

from typing import Any

import numpy as np

from connectomics.decoding import Labels
from connectomics.metrics import LabelPair, score_volume, with_counts
from connectomics.metrics.judged import Judged, judge, list_objects
from connectomics.reports.found import Found
from connectomics.reports.object_table import ANNOTATED_COLUMNS, list_annotated, write_rows, write_table
from connectomics.runs.earlier import MADE_FROM
from connectomics.runs.job import Job, Saving
from connectomics.runs.prediction import origin_of, read_sections
from connectomics.screen.console import say
from connectomics.volumes.labelled import LabelledSource
from connectomics.volumes.labels import LabelIds, mark_counting, read_label
from connectomics.volumes.write import VolumeWriter


def read_truth(job: Job, volume: LabelledSource) -> LabelIds:
    """Read what is annotated in a volume, as the decoder numbers it; voxels outside of the mask do not count."""
    assert volume.label is not None
    truth = read_label(volume.label)
    annotated = truth.annotated
    if volume.mask is not None:
        annotated = mark_counting(annotated, volume.mask.read_all()[0])
    return LabelIds(job.decoder.annotated(truth.ids, job.decoding), annotated)


def judge_labels(job: Job, volume: LabelledSource, labels: Labels) -> Judged:
    """Return what became of each object of a volume; without a label, its objects.

    Args:
        job: When two objects are the same synapse.
        volume: Image and label; voxels that nobody annotated do not count.
        labels: What was found, (Z, Y, X).

    Raises:
        VolumeError: If the label cannot be read, or does not fit.
    """
    spacing, sided = volume.image.info.spacing_nm, bool(job.decoder.classes)
    assert spacing is not None
    if volume.label is None:
        return list_objects(labels, spacing, sided, job.rule)
    truth = read_truth(job, volume)
    return judge(LabelPair(labels, truth.ids, spacing, truth.annotated, sided), job.rule)


def score_or_say(job: Job, pair: LabelPair | None, reason: str) -> dict[str, Any]:
    """Score the labels of a volume, as `metrics.json` holds them.

    Args:
        job: The metrics.
        pair: The labels; None when they cannot be compared.
        reason: Why they cannot.
    """
    names = with_counts(job.metrics)
    if pair is None:
        return {key: value for name in names for key, value in ((name, None), (f"{name}_undefined", reason))}
    return score_volume(pair, names, job.rule)


def write_synapses(job: Job, volume: LabelledSource, judged: Judged, saving: Saving) -> None:
    """List the objects of a volume in a file, with their probabilities from the saved prediction.

    Args:
        job: Where the prediction lies and the tables go.
        volume: The image.
        judged: The objects; what is annotated is listed in a file of its own.
        saving: How the prediction was written.
    """
    decoder = job.decoder
    found = Found(
        judged=judged,
        probability=read_sections(job, volume.name, saving),
        foreground=decoder.foreground,
        offset_nm=volume.image.info.offset_nm,
        channels=decoder.channels,
    )
    table = write_table(job.run.synapses(volume.name), decoder, found, job.outputs.parquet)
    if judged.outcomes is not None:
        rows = list_annotated(found)
        write_rows(job.run.annotated(volume.name), ANNOTATED_COLUMNS, rows, job.outputs.parquet)
    listed = f"{decoder.noun} listed in {job.run.synapses(volume.name)}: {table.objects}"
    say(f"{volume.name}: {listed}{table.remark}")


def write_instances(job: Job, volume: LabelledSource, judged: Judged, saving: Saving, made_from: str) -> None:
    """Write the ids of the objects of a volume: those of the tables and of the page, uint32 where they fit in.

    Args:
        job: Where they go.
        volume: The image, whose grid they lie on.
        judged: The objects.
        saving: The format.
        made_from: What they depend on, for their file.

    Raises:
        VolumeError: If they cannot be written.
    """
    objects = judged.both.predicted
    dtype = np.promote_types(np.uint32, np.min_scalar_type(int(objects.numbers.max(initial=0))))
    numbers = np.concatenate([[0], objects.numbers]).astype(dtype)
    stated = origin_of(volume) | {"content": f"ids of {job.decoder.noun}", MADE_FROM: made_from}
    path = job.run.instances(volume.name, saving.suffix)
    with VolumeWriter(path, 1, volume.image.shape, dtype, stated) as writer:
        for z, section in enumerate(judged.both.predicted_ids):
            writer.write(z, numbers[section][np.newaxis, np.newaxis])
