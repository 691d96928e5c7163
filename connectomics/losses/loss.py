"""What every term of the loss is."""

from __future__ import annotations

from abc import ABC, abstractmethod

from torch import Tensor, nn


class Loss(nn.Module, ABC):
    """A number that training makes small; only annotated voxels count in it."""

    channels: int | None = None
    """How many channels it takes; None takes any number."""

    @abstractmethod
    def forward(self, prediction: Tensor, target: Tensor, valid: Tensor) -> Tensor:
        """Return the loss of logits and target (B, C, Z, Y, X) where `valid` (B, 1, Z, Y, X) is not 0."""


def mean_over(losses: Tensor, valid: Tensor) -> Tensor:
    """Return the mean of losses (B, C, Z, Y, X) over the annotated voxels and the channels; 0 without such voxels."""
    count = valid.sum() * losses.shape[1]
    return (losses * valid).sum() / count.clamp(min=1)
