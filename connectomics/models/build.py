"""From settings to a network."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn

from connectomics.config.model import ModelConfig
from connectomics.errors import ConfigError
from connectomics.geometry import ZYX
from connectomics.lookup import pick
from connectomics.models import monai_builders as monai
from connectomics.models.rsunet import RSUNet, number_from_finest


@dataclass(frozen=True, slots=True)
class Architecture:
    """One entry of `MODELS`: all in which one network differs from another."""

    build: Callable[[ModelConfig], nn.Module]
    """Builds the network, which maps images (B, `in_channels`, Z, Y, X) to logits (B, `out_channels`, Z, Y, X)."""
    total_factor: Callable[[ModelConfig], ZYX] = lambda config: (1, 1, 1)
    """Returns what the extent of an image must be divisible by, along (z, y, x)."""
    settings: str | None = None
    """Name of the network's own section of `model`, whose settings shape the weights; None if it has none."""
    renumber: Callable[[Mapping[str, Tensor], ModelConfig], Mapping[str, Tensor]] = lambda weights, config: weights
    """Gives weights of a network with more or fewer levels the names that the same levels have in this one."""
    norm: Callable[[ModelConfig], str] = lambda config: "batch"
    """Returns the norm, which decides what order in memory is fast."""


def _of_monai(
    name: str, build: Callable[[ModelConfig], nn.Module], norm: Callable[[ModelConfig], str]
) -> dict[str, Architecture]:
    """Return the entry of a network of MONAI, whose section has its name."""
    return {name: Architecture(build, lambda config: config.total_factor, settings=name, norm=norm)}


MODELS: Mapping[str, Architecture] = {
    "rsunet": Architecture(
        build=lambda config: RSUNet(config.in_channels, config.out_channels, config.rsunet),
        total_factor=lambda config: config.rsunet.total_factor,
        settings="rsunet",
        renumber=lambda weights, config: number_from_finest(weights, len(config.rsunet.down_factors)),
        norm=lambda config: config.rsunet.norm,
    ),
    **_of_monai("monai_basic_unet3d", monai.build_basic_unet3d, lambda config: config.monai_basic_unet3d.norm),
    **_of_monai("monai_unet", monai.build_unet, lambda config: config.monai_unet.norm),
    **_of_monai("monai_dynunet", monai.build_dynunet, lambda config: config.monai_dynunet.norm_name),
    **_of_monai("monai_segresnet", monai.build_segresnet, lambda config: "group"),
    **_of_monai("monai_swin_unetr", monai.build_swin_unetr, lambda config: config.monai_swin_unetr.norm_name),
    **_of_monai("monai_mednext", monai.build_mednext, lambda config: "group"),
}
"""`model.arch.type` to the network."""

MEMORY_FORMATS: Mapping[Literal["channels_last_3d", "contiguous"], torch.memory_format] = {
    "channels_last_3d": torch.channels_last_3d,
    "contiguous": torch.contiguous_format,
}


SLOW_IN_CHANNELS_LAST = ("instance", "group")
"""Norms whose kernels on a GPU are slow in the channels-last order (pytorch issue 59168)."""


def choose_memory_format(config: ModelConfig, on_gpu: bool) -> torch.memory_format:
    """Return the order in memory of images and weights; "auto" is what is fast with this network there."""
    if config.memory_format != "auto":
        return MEMORY_FORMATS[config.memory_format]
    slow = on_gpu and pick_architecture(config).norm(config) in SLOW_IN_CHANNELS_LAST
    return torch.contiguous_format if slow else torch.channels_last_3d


def build_model(config: ModelConfig, on_gpu: bool = False) -> nn.Module:
    """Build the network that `config.arch.type` names, its weights in the memory format of the settings.

    Args:
        config: The settings of the network.
        on_gpu: Whether it will be moved to a GPU.
    """
    model = pick_architecture(config).build(config)
    # torch's overloads of `to` lack the memory format
    return model.to(memory_format=choose_memory_format(config, on_gpu))  # type: ignore[call-overload]


def recompute_finest_level(network: nn.Module) -> None:
    """Let a network compute its finest level again for the backward pass instead of keeping its values.

    Raises:
        ConfigError: If it cannot.
    """
    if not isinstance(network, RSUNet):
        raise ConfigError("optimization.recompute_finest_level is true, which only model.arch.type=rsunet can")
    network.recomputes = True


def has_deep_heads(network: nn.Module) -> bool:
    """Return whether coarser levels of a network predict too: `network(image, deep=True)` lists their logits."""
    return isinstance(network, RSUNet) and len(network.deep_heads) > 0


def pick_architecture(config: ModelConfig) -> Architecture:
    """Return the network that the settings name.

    Raises:
        ConfigError: If there is none of that name.
    """
    return pick(MODELS, config.arch.type, "model.arch.type")


def shaping_settings(model: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings that decide which weights there are and what they mean, by their keys below `model`.

    Args:
        model: The section `model` as plain values, such as a checkpoint holds it.
    """
    shaping = {"arch.type": model["arch"]["type"]} | {key: model[key] for key in ("in_channels", "out_channels")}
    known = MODELS.get(model["arch"]["type"])
    if known is None or known.settings is None:
        return shaping
    return shaping | {f"{known.settings}.{name}": value for name, value in model[known.settings].items()}
