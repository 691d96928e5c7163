"""Predict one validation volume, and score it with every threshold and minimum size that tuning tries."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from itertools import product
from typing import Any

import numpy as np

from connectomics.drawing.figures import to_gray
from connectomics.geometry import Box
from connectomics.inference import Sections
from connectomics.metrics import METRICS, LabelPair, score_volume, with_counts
from connectomics.metrics.sweep.levels import Levels, measure_levels
from connectomics.metrics.sweep.swept_scores import open_sizes, sweep_levels, sweep_masks
from connectomics.reports.tried_sections import TriedSection, busiest
from connectomics.runs.job import Job
from connectomics.runs.prediction import predict_sections
from connectomics.runs.score import read_truth
from connectomics.volumes.labelled import LabelledSource
from connectomics.volumes.labels import LabelIds

Row = dict[str, Any]
"""`threshold`, `min_size`, and the scores by name, None where one is undefined; ready for JSON."""


def sweep_volume(job: Job, volume: LabelledSource) -> tuple[list[Row], list[TriedSection]]:
    """Predict a volume, or take the prediction that is there, and score it with all settings.

    Args:
        job: What predicts, what is tried, and where the prediction goes.
        volume: Image and label.

    Returns:
        One row for each threshold and minimum size, and sections that show what a setting finds; none of those where a
        mask is not made by a threshold.
    """
    with closing(predict_sections(job, volume)) as predicted:
        return (_sweep_levels if job.decoder.by_threshold else _sweep_decoded)(job, volume, predicted)


def _sweep_levels(
    job: Job, volume: LabelledSource, predicted: Iterator[Sections]
) -> tuple[list[Row], list[TriedSection]]:
    """Score all masks at once."""
    thresholds, sizes, spacing = job.tuning.thresholds, job.tuning.sizes, volume.image.info.spacing_nm
    assert spacing is not None
    parts = ((sections.box, job.decoder.foreground(sections.voxels)) for sections in predicted)
    levels = measure_levels(parts, volume.image.shape, thresholds)
    truth = read_truth(job, volume)
    opened = open_sizes(levels, sizes)
    swept = sweep_levels(opened, truth.ids != 0, spacing, thresholds, sizes, job.rule, truth.annotated)
    rows = [{"threshold": one.threshold, "min_size": one.min_size, **one.scores} for one in swept]
    if others := [name for name in _names(job) if not METRICS[name].swept]:
        masks = sweep_masks(opened, len(thresholds))
        for row, mask in zip(rows, masks, strict=True):
            row |= _plain_scores(
                job, LabelPair(mask, truth.ids, spacing, truth.annotated, bool(job.decoder.classes)), others
            )
    return rows, _sections(job, volume, opened, truth)


def _sections(job: Job, volume: LabelledSource, opened: Sequence[Levels], truth: LabelIds) -> list[TriedSection]:
    """Return some sections with what each setting finds there; what nobody annotated is background."""
    foreground, counts = truth.ids != 0, truth.annotated
    order = sorted(range(len(opened)), key=lambda i: job.tuning.sizes[i])
    shown = []
    for z in busiest(foreground.sum(axis=(1, 2))):
        counted = np.True_ if counts is None else counts[z]
        raw = volume.image.read(Box.sections(z, z + 1, volume.image.shape))[0, 0]
        levels = [opened[i][z] * counted for i in order]
        shown.append(TriedSection(z, to_gray(job.intensity(volume).scale(raw)), levels, foreground[z] & counted))
    return shown


def _sweep_decoded(
    job: Job, volume: LabelledSource, predicted: Iterator[Sections]
) -> tuple[list[Row], list[TriedSection]]:
    """Decode and score the volume with one setting after another."""
    whole = np.empty((job.plan.channels, *volume.image.shape), np.float32)
    for sections in predicted:
        whole[(slice(None), *sections.box.slices)] = sections.voxels
    truth, spacing = read_truth(job, volume), volume.image.info.spacing_nm
    assert spacing is not None
    rows = []
    for size, threshold in product(job.tuning.sizes, job.tuning.thresholds):
        setting = replace(job.decoding, threshold=threshold, min_size=size, min_size_um3=0.0)
        labels = job.decoder.decode(whole, setting)
        pair = LabelPair(labels, truth.ids, spacing, truth.annotated, bool(job.decoder.classes))
        rows.append({"threshold": threshold, "min_size": size, **_plain_scores(job, pair, _names(job))})
    return rows, []


def _names(job: Job) -> list[str]:
    """Return the metrics that the settings ask for, the one that decides, and those that are always counted."""
    return with_counts([*job.metrics, job.tuning.metric])


def _plain_scores(job: Job, pair: LabelPair, names: Sequence[str]) -> dict[str, float | None]:
    """Return the numbers that stand for some metrics, scored as test mode does."""
    scores = score_volume(pair, names, job.rule)
    return {name: METRICS[name].number(scores[name]) for name in names}
