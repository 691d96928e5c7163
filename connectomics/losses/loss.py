"""The base of every loss term."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn


class Loss(nn.Module, ABC):
    """A number that training makes small; only annotated voxels count in it."""

    channels: int | None = None
    """How many channels the loss takes; None takes any number."""
    over_voxels: bool = True
    """Whether the loss is a mean over the annotated voxels of a batch; otherwise each patch of a batch counts alike."""

    @abstractmethod
    def forward(self, prediction: Tensor, target: Tensor, valid: Tensor) -> Tensor:
        """Return the loss of logits and target (B, C, Z, Y, X) where `valid` (B, 1, Z, Y, X) is not 0."""

    def sums(self, prediction: Tensor, target: Tensor, valid: Tensor) -> Tensor:
        """Return numbers, float64, whose sums over all windows of a validation say its loss; see `of_sums`.

        Unless a loss says otherwise they are the loss of each window times its annotated voxels, and these voxels: the
        loss of the validation is then the mean over all of its annotated voxels, however they are cut into windows.
        """
        voxels = valid.double().sum((1, 2, 3, 4))
        each = zip(prediction.split(1), target.split(1), valid.split(1), strict=True)
        losses = torch.stack([self(*window) for window in each]).double()
        return torch.stack([(losses * voxels).sum(), voxels.sum()])

    def of_sums(self, sums: Tensor) -> Tensor:
        """Return the loss of a validation, from what `sums` returned, added up over all of its windows."""
        return sums[0] / sums[1].clamp(min=1)


def require_one_activation(sigmoid: bool, softmax: bool) -> None:
    """Refuse to make probabilities twice.

    Raises:
        ValueError: If both are asked for.
    """
    if sigmoid and softmax:
        raise ValueError("sigmoid and softmax exclude each other; set sigmoid to false")


def to_probability(prediction: Tensor, sigmoid: bool, softmax: bool) -> Tensor:
    """Return probabilities of logits (B, C, Z, Y, X), or the prediction if it lacks neither function."""
    if softmax:
        return torch.softmax(prediction, dim=1)
    return torch.sigmoid(prediction) if sigmoid else prediction


def mean_over(losses: Tensor, valid: Tensor) -> Tensor:
    """Return the mean of losses (B, C, Z, Y, X) over the annotated voxels and the channels; 0 without such voxels."""
    count = valid.sum() * losses.shape[1]
    return (losses * valid).sum() / count.clamp(min=1)
