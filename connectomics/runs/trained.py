"""A trained network, and the run that its results belong to, opened for test and tune mode."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import connectomics
from connectomics.config import Config, as_plain
from connectomics.errors import CheckpointError
from connectomics.runs.assemble import require_disk
from connectomics.runs.console import say
from connectomics.runs.folder import RunFolder, run_of
from connectomics.runs.network import TrainedNetwork, load_network
from connectomics.runs.predict import try_windows
from connectomics.training.checkpoints import read_checkpoint, require_same_model
from connectomics.volumes.labelled import LabelledSource


@dataclass(frozen=True, slots=True)
class Trained:
    """What predicts, and where results go."""

    network: TrainedNetwork
    run: RunFolder
    checkpoint: Path
    step: int

    def describe(self, config: Config) -> str:
        """Say which weights predict, and where."""
        kind = "averaged (EMA)" if config.inference.use_ema else "latest"
        return f"on {self.network.devices} with the {kind} weights of step {self.step}"

    def stamp(self, config: Config) -> dict[str, Any]:
        """Return what scores depend on."""
        settings: Mapping[str, Any] = as_plain(config)
        return {
            "connectomics": connectomics.__version__,
            "created": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
            "checkpoint": str(self.checkpoint),
            "step": self.step,
            "inference": settings["inference"],
            "decoding": settings["decoding"],
            "evaluation": settings["evaluation"],
        }


def require_checkpoint(checkpoint: Path | None, mode: str) -> Path:
    """Return the checkpoint that was given.

    Raises:
        CheckpointError: If none was.
    """
    if checkpoint is None:
        raise CheckpointError(
            f"--mode {mode} needs --checkpoint: the trained network, such as .../checkpoints/last.ckpt"
        )
    return checkpoint


def open_trained(config: Config, checkpoint: Path, stage: str) -> Trained:
    """Load the network of a checkpoint, and find the run that it belongs to.

    Args:
        config: The settings.
        checkpoint: The trained network.
        stage: The mode, which begins the names of results.

    Raises:
        UserError: If the checkpoint cannot be used with these settings.
    """
    saved = read_checkpoint(checkpoint)
    require_same_model(saved, as_plain(config), checkpoint)
    network = load_network(config, saved, checkpoint)
    run = run_of(checkpoint, config.save_path or "", make=False)
    return Trained(network, RunFolder(run.root, stage), checkpoint, int(saved["global_step"]))


def try_volumes(trained: Trained, volumes: list[LabelledSource], config: Config, windows: int) -> None:
    """Predict so many windows of each volume, and write nothing."""
    for volume in volumes:
        try_windows(volume, trained.network, config, windows)
    say(f"{windows} window(s) of each volume went through {trained.describe(config)}; nothing was written")


def begin(trained: Trained, volumes: list[LabelledSource], config: Config) -> None:
    """Make sure that results can be written, and say what is about to be done.

    Raises:
        UserError: If they cannot.
    """
    trained.run.require_writable()
    require_disk(trained.run.root, volumes, config)
    say(f"predicting {len(volumes)} volume(s) {trained.describe(config)}")
