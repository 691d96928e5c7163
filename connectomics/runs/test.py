"""`--mode test`: from volumes and a checkpoint to predictions, masks and scores."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

import connectomics
from connectomics.config import Config, as_plain
from connectomics.errors import CheckpointError
from connectomics.metrics import MaskPair, mean_over_volumes, score_volume
from connectomics.models import build_model
from connectomics.models.build import MEMORY_FORMATS
from connectomics.reports.scores import print_scores
from connectomics.runs.assemble import require_disk
from connectomics.runs.console import console, quiet_libraries, say
from connectomics.runs.folder import RunFolder, run_of
from connectomics.runs.predict import predict_to_files
from connectomics.training.checkpoints import load_weights, network_weights, read_checkpoint, require_same_model
from connectomics.training.devices import choose_devices
from connectomics.volumes.labelled import LabelledSource, open_labelled
from connectomics.volumes.labels import split_clefts

AUTOCAST = {"bf16-mixed": torch.bfloat16, "16-mixed": torch.float16}


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
    device = choose_devices(config.system).torch_device
    run = run_of(checkpoint, config.save_path or "")
    run.require_writable()
    require_disk(run.root, volumes, config)
    forward = _network(config, saved, checkpoint, device)
    weights = "averaged (EMA)" if config.inference.use_ema else "latest"
    say(f"predicting {len(volumes)} volume(s) on {device.type} with the {weights} weights of step {saved['global_step']}")
    scores: dict[str, dict[str, Any]] = {}
    for volume in volumes:
        mask = predict_to_files(volume, forward, config, device, run, fast_dev_run)
        if config.evaluation.enabled and not fast_dev_run:
            scores[volume.name] = _score(volume, mask, config)
    if scores:
        _report(run, scores, _stamp(config, checkpoint, saved))
    say(f"results are in {run.results}" if config.inference.save_results and not fast_dev_run else "nothing was written")
    return run


def _network(
    config: Config, saved: dict[str, Any], checkpoint: Path, device: torch.device
) -> Callable[[Tensor], Tensor]:
    """Return the trained network as a plain function from windows in [0, 1] to logits."""
    model = build_model(config.model)
    load_weights(model, network_weights(saved, checkpoint, config.inference.use_ema), checkpoint)
    memory_format = MEMORY_FORMATS[config.model.memory_format]
    model = model.eval().to(device, memory_format=memory_format)
    dtype = AUTOCAST.get(config.inference.precision)

    @torch.inference_mode()
    def forward(windows: Tensor) -> Tensor:
        with torch.autocast(device.type, dtype or torch.bfloat16, enabled=dtype is not None):
            return model(windows.contiguous(memory_format=memory_format)).float()

    return forward


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
