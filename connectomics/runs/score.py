"""Compare what was found in a volume with its label."""

from __future__ import annotations

from typing import Any

from connectomics.config import Config
from connectomics.config.decoding import DecodingConfig
from connectomics.decoding import Labels, pick_decoder
from connectomics.metrics import LabelPair, score_volume
from connectomics.metrics.synapses import MatchRule
from connectomics.reports.found import Found
from connectomics.reports.synapses import write_table
from connectomics.runs.console import say
from connectomics.runs.folder import RunFolder
from connectomics.runs.predict import read_sections
from connectomics.volumes.labelled import LabelledSource
from connectomics.volumes.labels import LabelIds, read_label


def match_rule(config: Config) -> MatchRule:
    """Return when a predicted and an annotated synapse are the same one."""
    evaluation = config.evaluation
    return MatchRule(evaluation.min_iou, evaluation.max_distance_nm, evaluation.connectivity)


def read_truth(volume: LabelledSource, config: DecodingConfig) -> LabelIds:
    """Read what is annotated in a volume, as its decoder numbers it; voxels outside of the mask do not count."""
    assert volume.label is not None
    truth = read_label(volume.label)
    annotated = truth.annotated
    if volume.mask is not None:
        drawn = volume.mask.read_all()[0] != 0
        annotated = drawn if annotated is None else annotated & drawn
    return LabelIds(pick_decoder(config).annotated(truth.ids, config), annotated)


def pair_labels(volume: LabelledSource, labels: Labels, config: DecodingConfig) -> LabelPair:
    """Return the labels (Z, Y, X) of a volume beside the annotated ones; voxels that nobody annotated do not count."""
    truth, spacing = read_truth(volume, config), volume.image.info.spacing_nm
    assert spacing is not None
    return LabelPair(labels, truth.ids, spacing, truth.annotated)


def score_or_say(pair: LabelPair | None, reason: str, config: Config) -> dict[str, Any]:
    """Score the labels of a volume with the metrics of the settings, as `metrics.json` holds them.

    Args:
        pair: The labels; None when they cannot be compared.
        reason: Why they cannot.
        config: The settings.
    """
    if pair is None:
        names = config.evaluation.metrics
        return {key: value for name in names for key, value in ((name, None), (f"{name}_undefined", reason))}
    return score_volume(pair, config.evaluation.metrics, match_rule(config))


def write_synapses(
    volume: LabelledSource, labels: Labels, pair: LabelPair | None, config: Config, run: RunFolder
) -> None:
    """List the objects of a volume in a file, with their probabilities from the saved prediction.

    Args:
        volume: The image.
        labels: What was found, (Z, Y, X).
        pair: The same beside the annotated ones; None without a label.
        config: The settings.
        run: Where the prediction lies and the table goes.
    """
    spacing, decoder = volume.image.info.spacing_nm, pick_decoder(config.decoding)
    assert spacing is not None
    found = Found(
        labels=labels if pair is None else pair.predicted,
        pair=pair,
        probability=read_sections(volume.name, config, run),
        foreground=decoder.foreground,
        spacing_nm=spacing,
        offset_nm=volume.image.info.offset_nm,
        rule=match_rule(config),
        channels=decoder.channels,
    )
    table = write_table(run.synapses(volume.name), decoder, found)
    say(f"{volume.name}: {table.objects} {decoder.noun} are listed in {run.synapses(volume.name)}{table.remark}")
