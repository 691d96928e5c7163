"""Everything that a mode names is checked before the first voxel is read."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from math import prod
from pathlib import Path

import numpy as np

from connectomics.config import Config
from connectomics.data.targets import Target, build_target
from connectomics.decoding import DECODERS, pick_decoder
from connectomics.errors import ConfigError, UserError
from connectomics.inference import SAVED_TYPES
from connectomics.inference.activations import build_activations
from connectomics.inference.blend import PROFILES
from connectomics.lookup import pick, suggest
from connectomics.losses import Criterion
from connectomics.metrics import METRICS
from connectomics.models import pick_architecture
from connectomics.training.optimizers import OPTIMIZERS, SCHEDULERS
from connectomics.volumes.labelled import LabelledSource

LOGGED = ("train_loss_total_epoch", "val_loss_total", "val_jaccard", "val_cremi_distance")
"""Numbers that checkpoints can be ranked by; the terms of a loss, and the channels of Jaccard, are logged as well."""


def check_names(configs: Mapping[str, Config]) -> None:
    """Look up every name that the settings of any mode use.

    Raises:
        ConfigError: If one is unknown; the message names the setting and the close match.
    """
    for config in configs.values():
        pick_architecture(config.model)
        target = build_target(config.data.target)
        Criterion(config.model.loss, config.model.out_channels, target.num_channels)
        pick(OPTIMIZERS, config.optimization.optimizer.name, "optimization.optimizer.name")
        pick(SCHEDULERS, config.optimization.scheduler.name, "optimization.scheduler.name")
        pick(PROFILES, config.inference.window.blending, "inference.window.blending")
        _check_channels(config, target)
        for name in config.evaluation.metrics:
            metric = pick(METRICS, name, "evaluation.metrics")
            if metric.needs_sides and not pick_decoder(config.decoding).classes:
                raise ConfigError(
                    f"evaluation.metrics is {name!r}, which compares the sides of synapses; decoding.name is "
                    f"{config.decoding.name!r}, which tells none apart"
                )


def _check_channels(config: Config, target: Target) -> None:
    """Refuse a decoder that reads other channels than the target has, or more than the network has."""
    decoder, name, found = pick_decoder(config.decoding), config.decoding.name, config.model.out_channels
    if decoder.channels != target.names:
        fitting = [repr(other) for other, one in DECODERS.items() if one.channels == target.names]
        raise ConfigError(
            f"decoding.name is {name!r}, which reads the channels {', '.join(decoder.channels)}; data.target has "
            f"{', '.join(target.names)}, for which it must be {' or '.join(fitting)}"
        )
    if found < len(decoder.channels):
        raise ConfigError(
            f"decoding.name is {name!r}, which reads {len(decoder.channels)} channels "
            f"({', '.join(decoder.channels)}); model.out_channels is {found}"
        )
    _check_activations(config, target)


def _check_activations(config: Config, target: Target) -> None:
    """Refuse probabilities that exclude each other for a target whose channels do not, and the reverse."""
    key = "inference.model.channel_activations"
    build_activations(config.inference.model.channel_activations, config.model.out_channels)
    entries = config.inference.model.channel_activations
    for i, entry in enumerate(entries):
        over_all = entry.activation == "softmax" and len(entries) == 1
        if over_all != target.is_exclusive:
            kind = "classes that exclude each other" if target.is_exclusive else "channels independent of each other"
            must = "softmax over all of them" if target.is_exclusive else "sigmoid"
            raise ConfigError(
                f"{key}[{i}].activation is {entry.activation!r}; data.target has {kind}: it must be {must}"
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
        known = name in LOGGED or name.startswith(("train_loss_", "val_loss_", "val_jaccard_"))
        if not known:
            raise ConfigError(f"{key} is {name!r}; logged are {', '.join(LOGGED)}{suggest(name, LOGGED)}")
        if name.startswith("val_") and not config.data.val.image:
            raise ConfigError(f"{key} is {name!r}, but data.val.image names no volume to validate on")
        if name == "val_cremi_distance" and config.monitor.logging.scalar.max_cremi_patches == 0:
            raise ConfigError(f"{key} is {name!r}, but monitor.logging.scalar.max_cremi_patches=0 measures none")


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
    decoded = np.dtype(pick_decoder(config.decoding).dtype).itemsize
    needed = waiting + sum(prod(v.image.shape) * (width + decoded) for v in volumes)
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise UserError(
            f"the results need up to {needed / 1e9:.1f} GB, {folder} has {free / 1e9:.1f} GB free; "
            "make room, or set save_path or inference.save_dtype=uint8"
        )
