"""Predict one validation volume, and score it with every threshold and least size that tuning tries."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from itertools import product
from typing import Any

import numpy as np

from connectomics.config import Config
from connectomics.decoding import Decoder, pick_decoder
from connectomics.inference import Sections
from connectomics.metrics import METRICS, LabelPair, score_volume
from connectomics.metrics.levels import measure_levels
from connectomics.metrics.sweep import sweep_levels, sweep_masks
from connectomics.runs.predict import predict_sections
from connectomics.runs.score import match_rule, read_truth
from connectomics.runs.trained import Trained
from connectomics.volumes.labelled import LabelledSource, measure_image

Row = dict[str, Any]
"""`threshold`, `min_size`, and the scores by name, None where one is undefined; ready for JSON."""


def list_thresholds(config: Config) -> list[float]:
    """Return the thresholds that the settings ask for, ascending."""
    first, last, step = config.decoding.tuning.thresholds
    number = int((last - first) / step + 1e-6) + 1
    return [round(first + i * step, 9) for i in range(number)]


def sweep_volume(volume: LabelledSource, trained: Trained, config: Config) -> list[Row]:
    """Predict a volume, or take the prediction that is there, and score it with all settings.

    Args:
        volume: Image and label.
        trained: What predicts, and where the prediction goes.
        config: The settings.

    Returns:
        One row for each threshold and least size.
    """
    decoder = pick_decoder(config.decoding)
    intensity = measure_image(volume, config.data.image_transform)
    with closing(predict_sections(volume, intensity, trained.network, config, trained.run)) as predicted:
        sweep = _sweep_levels if decoder.by_threshold else _sweep_decoded
        return sweep(volume, predicted, decoder, config)


def _sweep_levels(volume: LabelledSource, predicted: Iterator[Sections], decoder: Decoder, config: Config) -> list[Row]:
    """Score all masks at once."""
    thresholds, spacing = list_thresholds(config), volume.image.info.spacing_nm
    assert spacing is not None
    parts = ((sections.box, decoder.foreground(sections.voxels)) for sections in predicted)
    levels = measure_levels(parts, volume.image.shape, thresholds)
    truth = read_truth(volume, config.decoding)
    sizes = config.decoding.tuning.min_sizes
    swept = sweep_levels(
        levels, truth.ids != 0, spacing, thresholds, sizes, match_rule(config), truth.annotated
    )  # fmt: skip
    rows = [{"threshold": one.threshold, "min_size": one.min_size, **one.scores} for one in swept]
    if others := [name for name in _names(config) if not METRICS[name].swept]:
        masks = sweep_masks(levels, len(thresholds), sizes)
        for row, mask in zip(rows, masks, strict=True):
            row |= _plain_scores(LabelPair(mask, truth.ids, spacing, truth.annotated), others, config)
    return rows


def _sweep_decoded(
    volume: LabelledSource, predicted: Iterator[Sections], decoder: Decoder, config: Config
) -> list[Row]:
    """Decode and score the volume with each setting by itself."""
    whole = np.empty((config.model.out_channels, *volume.image.shape), np.float32)
    for sections in predicted:
        whole[(slice(None), *sections.box.slices)] = sections.voxels
    truth, spacing = read_truth(volume, config.decoding), volume.image.info.spacing_nm
    assert spacing is not None
    rows = []
    for size, threshold in product(config.decoding.tuning.min_sizes, list_thresholds(config)):
        setting = replace(config.decoding, threshold=threshold, min_size=size)
        pair = LabelPair(decoder.decode(whole, setting), truth.ids, spacing, truth.annotated)
        rows.append({"threshold": threshold, "min_size": size, **_plain_scores(pair, _names(config), config)})
    return rows


def _names(config: Config) -> list[str]:
    """Return the metrics that the settings ask for, and the one that decides."""
    return list(dict.fromkeys([*config.evaluation.metrics, config.decoding.tuning.metric]))


def _plain_scores(pair: LabelPair, names: Sequence[str], config: Config) -> dict[str, float | None]:
    """Return the numbers that stand for some metrics, scored as test mode does."""
    scores = score_volume(pair, names, match_rule(config))
    return {name: METRICS[name].number(scores[name]) for name in names}
