"""A loss that keeps the two sides of a synapse apart."""

from __future__ import annotations

from typing import final

import torch
from torch import Tensor

from connectomics.losses.loss import Loss, mean_over


@final
class NonOverlapLoss(Loss):
    """The mean of pre * post * union, each a probability: high where one voxel is taken for both sides at once.

    The union only says where that matters. No gradient goes through it, so that the sides part and the synapse stays.
    The target is not looked at.
    """

    channels = 3

    def forward(self, prediction: Tensor, target: Tensor, valid: Tensor) -> Tensor:
        """Return the loss.

        Args:
            prediction: Logits of [pre, post, union], (B, 3, Z, Y, X).
            target: Not used.
            valid: (B, 1, Z, Y, X); voxels where it is 0 do not count.
        """
        pre, post, union = torch.sigmoid(prediction).split(1, dim=1)
        return mean_over(pre * post * union.detach(), valid)
