"""`--mode test`: predict, decode, score, report."""

from __future__ import annotations

import json
import time
from contextlib import closing
from dataclasses import replace
from math import prod
from pathlib import Path
from typing import Any

from connectomics.config import Config
from connectomics.data.targets import build_target
from connectomics.decoding import pick_decoder
from connectomics.errors import VolumeError
from connectomics.files import write_text
from connectomics.metrics import LabelPair, mean_over_volumes
from connectomics.reports.durations import describe_seconds
from connectomics.reports.scores import print_scores
from connectomics.runs.console import console, quiet_libraries, say
from connectomics.runs.decode import Decoded, decode_volume, lists_synapses
from connectomics.runs.folder import RunFolder
from connectomics.runs.labels import tell_masks, tell_remarks
from connectomics.runs.network import TrainedNetwork
from connectomics.runs.predict import peak_memory, predict_sections
from connectomics.runs.report import report_results, write_picture
from connectomics.runs.score import pair_labels, score_or_say, write_synapses
from connectomics.runs.trained import begin, open_trained, require_checkpoint, try_volumes
from connectomics.volumes.intensity import IntensityRange
from connectomics.volumes.labelled import LabelledSource, measure_image, open_labelled


def test(config: Config, checkpoint: Path | None, fast_dev_run: int = 0) -> RunFolder:
    """Predict the test volumes with a trained network, and score them where labels are.

    Args:
        config: The settings.
        checkpoint: The trained network.
        fast_dev_run: So many windows of each volume, writing nothing; 0 predicts them whole.

    Returns:
        The run whose `results/` holds the files.

    Raises:
        UserError: If something that the settings name cannot be used.
    """
    quiet_libraries()
    checkpoint = require_checkpoint(checkpoint, "test")
    volumes = open_labelled(config.data.test, "data.test", config.model.in_channels, config.evaluation.enabled)
    tell_remarks(volumes, build_target(config.data.target))
    tell_masks([config.data.test], volumes)
    trained = open_trained(config, checkpoint, "test")
    network, run = trained.network, trained.run
    if fast_dev_run:
        try_volumes(trained, volumes, config, fast_dev_run)
        return run
    begin(trained, volumes, config)
    scores: dict[str, dict[str, Any]] = {}
    failed: dict[str, str] = {}
    for volume in volumes:
        decoded, intensity = _find(volume, network, config, run)
        pair = None
        if config.evaluation.enabled:
            try:
                pair = pair_labels(volume, decoded.labels, config.decoding)
            except VolumeError as error:  # the other volumes still get their scores
                failed[volume.name] = str(error)
            scores[volume.name] = score_or_say(pair, failed.get(volume.name, ""), config)
        shown = volume if volume.name not in failed else replace(volume, label=None)
        _show(shown, intensity, decoded, pair, config, run)
    if scores:
        _report(run, scores, trained.stamp(config))
        report_results(run, [volume for volume in volumes if volume.name not in failed], config)
    say(f"results are in {run.results}")
    if failed:
        raise VolumeError("; ".join(f"{name} has no scores: {reason}" for name, reason in failed.items()))
    return run


def _show(
    volume: LabelledSource, intensity: IntensityRange, decoded: Decoded, pair: LabelPair | None, config: Config,
    run: RunFolder,
) -> None:  # fmt: skip
    """Draw sections of a volume, and list what was found in it, where results are saved."""
    if config.inference.save_results:
        write_picture(volume, intensity, decoded.foreground, config, run)
    if lists_synapses(config):
        write_synapses(volume, decoded.labels, pair, config, run)


def _find(
    volume: LabelledSource, network: TrainedNetwork, config: Config, run: RunFolder
) -> tuple[Decoded, IntensityRange]:
    """Predict and decode a volume into its files; return what was found, and how the image is scaled."""
    begun = time.monotonic()
    intensity = measure_image(volume, config.data.image_transform)
    with closing(predict_sections(volume, intensity, network, config, run)) as predicted:
        decoded = decode_volume(volume, predicted, config, run)
    seconds, voxels = time.monotonic() - begun, prod(volume.image.shape)
    say(
        f"{volume.name}: {describe_seconds(seconds)}, {voxels / seconds / 1e6:.3g} million voxels/s, peak memory "
        f"{peak_memory(network)}, {decoded.foreground.sum() / voxels:.2%} of the voxels are in "
        f"{pick_decoder(config.decoding).noun}"
    )
    return decoded, intensity


def _report(run: RunFolder, scores: dict[str, dict[str, Any]], stamp: dict[str, Any]) -> None:
    whole = {"volumes": scores, "mean": mean_over_volumes(scores), "stamp": stamp}
    write_text(run.metrics, json.dumps(whole, indent=2, allow_nan=False) + "\n")
    print_scores(console(), whole)
