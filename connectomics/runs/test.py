"""`--mode test`: from volumes and a checkpoint to predictions, masks and scores."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

import connectomics
from connectomics.config import Config, as_plain
from connectomics.errors import CheckpointError
from connectomics.metrics import MaskPair, mean_over_volumes, score_volume
from connectomics.reports.scores import print_scores
from connectomics.runs.assemble import require_disk
from connectomics.runs.console import console, quiet_libraries, say
from connectomics.runs.folder import RunFolder, run_of
from connectomics.runs.network import load_network
from connectomics.runs.predict import predict_to_files, try_windows
from connectomics.runs.report import report_results
from connectomics.training.checkpoints import read_checkpoint, require_same_model
from connectomics.volumes.labelled import LabelledSource, open_labelled
from connectomics.volumes.labels import split_clefts


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
    if checkpoint is None:
        raise CheckpointError("--mode test needs --checkpoint: the trained network, such as .../checkpoints/last.ckpt")
    volumes = open_labelled(config.data.test, "data.test", config.model.in_channels, config.evaluation.enabled)
    saved = read_checkpoint(checkpoint)
    require_same_model(saved, as_plain(config), checkpoint)
    network = load_network(config, saved, checkpoint)
    run = run_of(checkpoint, config.save_path or "")
    kind = "averaged (EMA)" if config.inference.use_ema else "latest"
    where = f"on {network.devices} with the {kind} weights of step {saved['global_step']}"
    if fast_dev_run:
        for volume in volumes:
            try_windows(volume, network, config, fast_dev_run)
        say(f"{fast_dev_run} window(s) of each volume went through {where}; nothing was written")
        return run
    run.require_writable()
    require_disk(run.root, volumes, config)
    say(f"predicting {len(volumes)} volume(s) {where}")
    scores: dict[str, dict[str, Any]] = {}
    for volume in volumes:
        mask = predict_to_files(volume, network, config, run)
        if config.evaluation.enabled:
            scores[volume.name] = _score(volume, mask, config)
    if scores:
        _report(run, scores, _stamp(config, checkpoint, saved))
        report_results(run, volumes, config)
    say(f"results are in {run.results}")
    return run


def _score(volume: LabelledSource, mask: npt.NDArray[np.uint8], config: Config) -> dict[str, Any]:
    """Compare the mask of a volume with its label."""
    assert volume.label is not None
    label = split_clefts(volume.label.read_all()[0], volume.label.info.layout)
    annotated = label.annotated
    if volume.mask is not None:
        drawn = volume.mask.read_all()[0] != 0
        annotated = drawn if annotated is None else annotated & drawn
    spacing = volume.image.info.spacing_nm
    assert spacing is not None
    return score_volume(MaskPair(mask.astype(bool), label.foreground, spacing, annotated), config.evaluation.metrics)


def _stamp(config: Config, checkpoint: Path, saved: dict[str, Any]) -> dict[str, Any]:
    """Return what the scores depend on."""
    settings = as_plain(config)
    return {
        "connectomics": connectomics.__version__,
        "created": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        "checkpoint": str(checkpoint),
        "step": int(saved["global_step"]),
        "inference": settings["inference"],
        "decoding": settings["decoding"],
    }


def _report(run: RunFolder, scores: dict[str, dict[str, Any]], stamp: dict[str, Any]) -> None:
    whole = {"volumes": scores, "mean": mean_over_volumes(scores), "stamp": stamp}
    run.results.mkdir(parents=True, exist_ok=True)
    partial = run.metrics.with_name(f".{run.metrics.name}.partial")
    partial.write_text(json.dumps(whole, indent=2, allow_nan=False) + "\n", encoding="utf-8")
    os.replace(partial, run.metrics)
    print_scores(console(), whole)
