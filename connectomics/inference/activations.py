"""From the network's output to probabilities, channel by channel."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from connectomics.config.inference import ChannelActivationConfig
from connectomics.config.slices import parse_slice
from connectomics.errors import ConfigError
from connectomics.lookup import pick


@dataclass(frozen=True, slots=True)
class Activation:
    """What becomes of the logits of some channels."""

    function: Callable[[Tensor], Tensor]
    """Maps (B, C, Z, Y, X) to values of the same shape."""
    is_probability: bool
    """Whether the values lie within [0, 1]."""


ACTIVATIONS: Mapping[str, Activation] = {
    "sigmoid": Activation(torch.sigmoid, is_probability=True),
    "softmax": Activation(lambda logits: torch.softmax(logits, dim=1), is_probability=True),
    "none": Activation(lambda logits: logits, is_probability=False),
}
"""`inference.model.channel_activations[].activation` to the function; softmax runs over the channels of its entry."""

KEY = "inference.model.channel_activations"


@dataclass(frozen=True, slots=True)
class ChannelActivations:
    """One activation for each group of channels; together the groups name every channel once."""

    groups: tuple[tuple[range, Activation], ...]

    def __call__(self, logits: Tensor) -> Tensor:
        """Return the activated channels, float32, for logits (B, C, Z, Y, X)."""
        exact = logits.float()
        if len(self.groups) == 1:
            return self.groups[0][1].function(exact)
        activated = torch.empty_like(exact)
        for channels, activation in self.groups:
            chosen = slice(channels.start, channels.stop)
            activated[:, chosen] = activation.function(exact[:, chosen])
        return activated

    def applied(self) -> ChannelActivations:
        """Return what is left to be done where a network gives probabilities already: nothing but `bound`."""
        groups = ((channels, replace(one, function=lambda given: given)) for channels, one in self.groups)
        return ChannelActivations(tuple(groups))

    def bound(self, voxels: npt.NDArray[np.float32]) -> None:
        """Take blended probabilities, (C, Z, Y, X), that were rounded above 1 back to it, in place."""
        for channels, activation in self.groups:
            if activation.is_probability:
                blended = voxels[channels.start : channels.stop]
                np.minimum(blended, 1, out=blended)


def build_activations(entries: Sequence[ChannelActivationConfig], num_channels: int) -> ChannelActivations:
    """Build the activations of a network with `num_channels` outputs.

    Raises:
        ConfigError: If a name is unknown, or a channel is named never or twice.
    """
    groups = []
    for i, entry in enumerate(entries):
        channels = parse_slice(entry.channels, num_channels, f"{KEY}[{i}].channels")
        groups.append((channels, pick(ACTIVATIONS, entry.activation, f"{KEY}[{i}].activation")))
    named = sorted(channel for channels, _ in groups for channel in channels)
    if named != list(range(num_channels)):
        counted = [named.count(channel) for channel in range(num_channels)]
        wrong = next(channel for channel, count in enumerate(counted) if count != 1)
        how_often = "by none" if counted[wrong] == 0 else f"by {counted[wrong]} of them"
        raise ConfigError(
            f"{KEY} must name each of the {num_channels} channels (model.out_channels) once; "
            f"channel {wrong} is named {how_often}"
        )
    return ChannelActivations(tuple(groups))
