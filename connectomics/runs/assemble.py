"""Everything that a mode names is checked before the first voxel is read."""

from __future__ import annotations

from collections.abc import Mapping

from torch import nn

from connectomics.config import Config
from connectomics.data.targets import Target, build_target
from connectomics.decoding import DECODERS, pick_decoder
from connectomics.errors import ConfigError
from connectomics.inference.activations import build_activations
from connectomics.inference.blend import PROFILES
from connectomics.lookup import pick, suggest
from connectomics.losses import Criterion
from connectomics.metrics import METRICS
from connectomics.models import pick_architecture
from connectomics.training.optimizers import SCHEDULERS, build_optimizer

LOGGED = ("train_loss_total_epoch", "val_loss_total", "val_jaccard", "val_cremi_distance")
"""Numbers that can rank checkpoints; the terms of a loss and the Jaccard index of each channel are logged as well."""


def check_names(configs: Mapping[str, Config]) -> None:
    """Look up every name that the settings of any mode use.

    Raises:
        ConfigError: If one is unknown; the message names the setting and the close match.
    """
    for config in configs.values():
        require_divisible(config)
        target = build_target(config.data.target)
        Criterion(config.model.loss, config.model.out_channels, target.num_channels)
        build_optimizer(nn.Linear(1, 1), config.optimization.optimizer)
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


def check_deciding(config: Config) -> None:
    """Refuse to let a score decide that means nothing for what is decoded.

    Raises:
        ConfigError: With the setting and the close match.
    """
    name, key = config.decoding.tuning.metric, "decoding.tuning.metric"
    metric = pick(METRICS, name, key)
    if metric.needs_sides and not pick_decoder(config.decoding).classes:
        fitting = ", ".join(other for other, one in METRICS.items() if not one.needs_sides)
        raise ConfigError(f"{key} is {name!r}; with decoding.name={config.decoding.name} it must be one of {fitting}")


def require_divisible(config: Config) -> None:
    """Refuse patches and windows that the network cannot halve as often as it does; its own settings need no torch.

    Raises:
        ConfigError: With the setting and the factor.
    """
    factor = pick_architecture(config.model).total_factor(config.model)
    sizes = {
        "data.dataloader.patch_size": config.data.dataloader.patch_size,
        "inference.window.window_size": config.inference.window.window_size or config.data.dataloader.patch_size,
    }
    for key, size in sizes.items():
        if any(n % f for n, f in zip(size, factor, strict=True)):
            near = [max(f, round(n / f) * f) for n, f in zip(size, factor, strict=True)]
            raise ConfigError(
                f"{key} is {list(size)}; it must be divisible by {list(factor)} along (z, y, x); the nearest is {near}"
            )
