"""Compare what was found in a volume with its label."""

from __future__ import annotations

from typing import Any

from connectomics.config import Config
from connectomics.config.decoding import DecodingConfig
from connectomics.decoding import Labels, pick_decoder
from connectomics.metrics import LabelPair, score_volume
from connectomics.volumes.labelled import LabelledSource
from connectomics.volumes.labels import read_label


def pair_labels(volume: LabelledSource, labels: Labels, config: DecodingConfig) -> LabelPair:
    """Return the labels (Z, Y, X) of a volume beside the annotated ones; voxels that nobody annotated do not count."""
    assert volume.label is not None
    truth = read_label(volume.label)
    annotated = truth.annotated
    if volume.mask is not None:
        drawn = volume.mask.read_all()[0] != 0
        annotated = drawn if annotated is None else annotated & drawn
    spacing = volume.image.info.spacing_nm
    assert spacing is not None
    return LabelPair(labels, pick_decoder(config).annotated(truth.ids, config), spacing, annotated)


def score_labels(volume: LabelledSource, labels: Labels, config: Config) -> dict[str, Any]:
    """Score the labels (Z, Y, X) of a volume with the metrics of the settings, as `metrics.json` holds them."""
    return score_volume(pair_labels(volume, labels, config.decoding), config.evaluation.metrics)
