"""Everything that a mode names is checked before the first voxel is read."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from math import prod
from pathlib import Path

from connectomics.config import Config
from connectomics.data.targets import build_target
from connectomics.decoding import pick_decoder
from connectomics.errors import ConfigError, UserError
from connectomics.inference import SAVED_TYPES
from connectomics.inference.activations import ACTIVATIONS
from connectomics.inference.blend import PROFILES
from connectomics.lookup import pick
from connectomics.losses import Criterion
from connectomics.metrics import METRICS
from connectomics.models import MODELS
from connectomics.training.optimizers import OPTIMIZERS, SCHEDULERS
from connectomics.volumes.labelled import LabelledSource


def check_names(configs: Mapping[str, Config]) -> None:
    """Look up every name that the settings of any mode use.

    Raises:
        ConfigError: If one is unknown; the message names the setting and the close match.
    """
    for config in configs.values():
        pick(MODELS, config.model.arch.type, "model.arch.type")
        target = build_target(config.data.target)
        Criterion(config.model.loss, config.model.out_channels, target.num_channels)
        pick(OPTIMIZERS, config.optimization.optimizer.name, "optimization.optimizer.name")
        pick(SCHEDULERS, config.optimization.scheduler.name, "optimization.scheduler.name")
        pick(PROFILES, config.inference.window.blending, "inference.window.blending")
        for i, entry in enumerate(config.inference.model.channel_activations):
            pick(ACTIVATIONS, entry.activation, f"inference.model.channel_activations[{i}].activation")
        _check_channels(config)
        for name in config.evaluation.metrics:
            pick(METRICS, name, "evaluation.metrics")


def _check_channels(config: Config) -> None:
    """Refuse a decoder that reads more channels than the network has."""
    decoder, found = pick_decoder(config.decoding), config.model.out_channels
    if found < len(decoder.channels):
        raise ConfigError(
            f"decoding.name is {config.decoding.name!r}, which reads {len(decoder.channels)} channels "
            f"({', '.join(decoder.channels)}); model.out_channels is {found}"
        )


def check_monitored(config: Config) -> None:
    """Refuse to rank checkpoints, or to stop early, by a number of a validation that does not happen.

    Raises:
        ConfigError: With the setting, and what to do.
    """
    monitor = config.monitor
    watched = {"monitor.checkpoint.monitor": monitor.checkpoint.monitor}
    if monitor.early_stopping.enabled:
        watched["monitor.early_stopping.monitor"] = monitor.early_stopping.monitor
    for key, name in watched.items():
        if not name.startswith(("train_loss_", "val_")):
            raise ConfigError(f"{key} is {name!r}; logged are train_loss_total_epoch, val_loss_total and val_jaccard")
        if name.startswith("val_") and not config.data.val.image:
            raise ConfigError(f"{key} is {name!r}, but data.val.image names no volume to validate on")


def require_disk(folder: Path, volumes: list[LabelledSource], config: Config) -> None:
    """Refuse to predict when the results would not fit on the disk.

    Raises:
        UserError: With what is needed and what is free.
    """
    if not config.inference.save_results:
        return
    width = SAVED_TYPES[config.inference.save_dtype].dtype.itemsize * config.model.out_channels
    # Finished sections wait uncompressed, one volume at a time, until their file is whole.
    waiting = max(prod(v.image.shape) * width for v in volumes)
    needed = waiting + sum(prod(v.image.shape) * (width + 1) for v in volumes)
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise UserError(
            f"the results need up to {needed / 1e9:.1f} GB, {folder} has {free / 1e9:.1f} GB free; "
            "make room, or set save_path or inference.save_dtype=uint8"
        )
