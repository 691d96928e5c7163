"""From settings to a network."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import nn

from connectomics.config.model import ModelConfig
from connectomics.lookup import pick
from connectomics.models.rsunet import RSUNet

MODELS: Mapping[str, Callable[[ModelConfig], nn.Module]] = {
    "rsunet": lambda config: RSUNet(config.in_channels, config.out_channels, config.rsunet),
}
"""`model.arch.type` to what builds the network."""

MEMORY_FORMATS: Mapping[str, torch.memory_format] = {
    "channels_last_3d": torch.channels_last_3d,
    "contiguous": torch.contiguous_format,
}


def build_model(config: ModelConfig) -> nn.Module:
    """Build the network that `config.arch.type` names, its weights in the memory format of the settings."""
    model = pick(MODELS, config.arch.type, "model.arch.type")(config)
    return model.to(memory_format=MEMORY_FORMATS[config.memory_format])
