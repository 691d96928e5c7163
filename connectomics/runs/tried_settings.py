"""Predict one validation volume, and score it with every threshold and minimum size that tuning tries."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from itertools import product
from typing import Any

import numpy as np

from connectomics.inference import Sections
from connectomics.metrics import METRICS, LabelPair, score_volume, with_counts
from connectomics.metrics.sweep.levels import measure_levels
from connectomics.metrics.sweep.swept_scores import sweep_levels, sweep_masks
from connectomics.runs.job import Job
from connectomics.runs.prediction import predict_sections
from connectomics.runs.score import read_truth
from connectomics.volumes.labelled import LabelledSource

Row = dict[str, Any]
"""`threshold`, `min_size`, and the scores by name, None where one is undefined; ready for JSON."""


def sweep_volume(job: Job, volume: LabelledSource) -> list[Row]:
    """Predict a volume, or take the prediction that is there, and score it with all settings.

    Args:
        job: What predicts, what is tried, and where the prediction goes.
        volume: Image and label.

    Returns:
        One row for each threshold and minimum size.
    """
    with closing(predict_sections(job, volume)) as predicted:
        return (_sweep_levels if job.decoder.by_threshold else _sweep_decoded)(job, volume, predicted)


def _sweep_levels(job: Job, volume: LabelledSource, predicted: Iterator[Sections]) -> list[Row]:
    """Score all masks at once."""
    thresholds, sizes, spacing = job.tuning.thresholds, job.tuning.min_sizes, volume.image.info.spacing_nm
    assert spacing is not None
    parts = ((sections.box, job.decoder.foreground(sections.voxels)) for sections in predicted)
    levels = measure_levels(parts, volume.image.shape, thresholds)
    truth = read_truth(job, volume)
    swept = sweep_levels(levels, truth.ids != 0, spacing, thresholds, sizes, job.rule, truth.annotated)
    rows = [{"threshold": one.threshold, "min_size": one.min_size, **one.scores} for one in swept]
    if others := [name for name in _names(job) if not METRICS[name].swept]:
        masks = sweep_masks(levels, len(thresholds), sizes)
        for row, mask in zip(rows, masks, strict=True):
            row |= _plain_scores(
                job, LabelPair(mask, truth.ids, spacing, truth.annotated, bool(job.decoder.classes)), others
            )
    return rows


def _sweep_decoded(job: Job, volume: LabelledSource, predicted: Iterator[Sections]) -> list[Row]:
    """Decode and score the volume with one setting after another."""
    whole = np.empty((job.plan.channels, *volume.image.shape), np.float32)
    for sections in predicted:
        whole[(slice(None), *sections.box.slices)] = sections.voxels
    truth, spacing = read_truth(job, volume), volume.image.info.spacing_nm
    assert spacing is not None
    rows = []
    for size, threshold in product(job.tuning.min_sizes, job.tuning.thresholds):
        setting = replace(job.decoding, threshold=threshold, min_size=size)
        labels = job.decoder.decode(whole, setting)
        pair = LabelPair(labels, truth.ids, spacing, truth.annotated, bool(job.decoder.classes))
        rows.append({"threshold": threshold, "min_size": size, **_plain_scores(job, pair, _names(job))})
    return rows


def _names(job: Job) -> list[str]:
    """Return the metrics that the settings ask for, the one that decides, and those that are always counted."""
    return with_counts([*job.metrics, job.tuning.metric])


def _plain_scores(job: Job, pair: LabelPair, names: Sequence[str]) -> dict[str, float | None]:
    """Return the numbers that stand for some metrics, scored as test mode does."""
    scores = score_volume(pair, names, job.rule)
    return {name: METRICS[name].number(scores[name]) for name in names}
