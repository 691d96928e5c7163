"""What a network learns, and how: all that the network in training and its Trainer are built from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from connectomics.config.decoding import DecodingConfig
from connectomics.config.model import ModelConfig
from connectomics.config.monitor import MonitorConfig
from connectomics.config.optimization import OptimizationConfig
from connectomics.data.targets import Target
from connectomics.geometry import Spacing
from connectomics.inference.activations import ChannelActivations
from connectomics.metrics.matching import MatchRule
from connectomics.training.devices import Devices


@dataclass(frozen=True, slots=True, eq=False)
class Learning:
    """A training, without the volumes that it reads and the folder that it writes."""

    network: ModelConfig
    """The network and its loss."""
    target: Target
    activations: ChannelActivations
    """What makes probabilities of logits, for the scores of a validation."""
    decoding: DecodingConfig
    """What makes a mask of probabilities, for the same."""
    rule: MatchRule
    """When a predicted and an annotated object are the same synapse."""
    optimization: OptimizationConfig
    monitor: MonitorConfig
    devices: Devices
    batch_size: int
    """Patches that each device takes at a time."""
    validates: bool
    """Whether there is anything to validate on."""
    learnt_at: tuple[Spacing, ...]
    """Voxel sizes (z, y, x) of the training volumes, in nm, for the checkpoint."""
    settings: Mapping[str, Any]
    """All settings as plain values, for the checkpoint."""
