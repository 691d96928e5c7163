"""Compare what was found in a volume with its label."""

from __future__ import annotations

from typing import Any

from connectomics.decoding import Labels
from connectomics.metrics import LabelPair, score_volume
from connectomics.reports.found import Found
from connectomics.reports.object_table import write_table
from connectomics.runs.job import Job, Saving
from connectomics.runs.prediction import read_sections
from connectomics.screen.console import say
from connectomics.volumes.labelled import LabelledSource
from connectomics.volumes.labels import LabelIds, read_label


def read_truth(job: Job, volume: LabelledSource) -> LabelIds:
    """Read what is annotated in a volume, as the decoder numbers it; voxels outside of the mask do not count."""
    assert volume.label is not None
    truth = read_label(volume.label)
    annotated = truth.annotated
    if volume.mask is not None:
        drawn = volume.mask.read_all()[0] != 0
        annotated = drawn if annotated is None else annotated & drawn
    return LabelIds(job.decoder.annotated(truth.ids, job.decoding), annotated)


def pair_labels(job: Job, volume: LabelledSource, labels: Labels) -> LabelPair:
    """Return the labels (Z, Y, X) of a volume with the annotated ones; voxels that nobody annotated do not count."""
    truth, spacing = read_truth(job, volume), volume.image.info.spacing_nm
    assert spacing is not None
    return LabelPair(labels, truth.ids, spacing, truth.annotated)


def score_or_say(job: Job, pair: LabelPair | None, reason: str) -> dict[str, Any]:
    """Score the labels of a volume, as `metrics.json` holds them.

    Args:
        job: The metrics.
        pair: The labels; None when they cannot be compared.
        reason: Why they cannot.
    """
    if pair is None:
        return {key: value for name in job.metrics for key, value in ((name, None), (f"{name}_undefined", reason))}
    return score_volume(pair, job.metrics, job.rule)


def write_synapses(job: Job, volume: LabelledSource, labels: Labels, pair: LabelPair | None, saving: Saving) -> None:
    """List the objects of a volume in a file, with their probabilities from the saved prediction.

    Args:
        job: Where the prediction lies and the table goes.
        volume: The image.
        labels: What was found, (Z, Y, X).
        pair: The labels beside the annotated ones; None without a label.
        saving: How the prediction was written.
    """
    spacing, decoder = volume.image.info.spacing_nm, job.decoder
    assert spacing is not None
    found = Found(
        labels=labels if pair is None else pair.predicted,
        pair=pair,
        probability=read_sections(job, volume.name, saving),
        foreground=decoder.foreground,
        spacing_nm=spacing,
        offset_nm=volume.image.info.offset_nm,
        rule=job.rule,
        channels=decoder.channels,
    )
    table = write_table(job.run.synapses(volume.name), decoder, found)
    say(f"{volume.name}: {table.objects} {decoder.noun} are listed in {job.run.synapses(volume.name)}{table.remark}")
