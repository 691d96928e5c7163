"""The focal loss."""

from __future__ import annotations

from typing import final

import torch
from torch import Tensor
from torch.nn import functional as F

from connectomics.losses.loss import Loss, mean_over


@final
class FocalLoss(Loss):
    """Cross-entropy in which a voxel counts (1 - p)^gamma times, p the probability of what it is.

    Source:
        Lin, Goyal, Girshick, He, Dollár 2017, Focal loss for dense object detection, ICCV, equations 4 and 5.
    """

    def __init__(self, gamma: float = 2.0, alpha: float | None = None, use_softmax: bool = False) -> None:
        """Prepare the loss.

        Args:
            gamma: How little a voxel counts that is right already; 0 is cross-entropy.
            alpha: Weight of the foreground, from 0 to 1, that of the background being 1 - alpha; None is 1 for both.
            use_softmax: Whether the channels are classes that exclude each other, the first one the background.

        Raises:
            ValueError: If `gamma` is negative, or `alpha` no share.
        """
        super().__init__()
        if gamma < 0 or not 0 <= (0.5 if alpha is None else alpha) <= 1:
            raise ValueError(f"gamma is {gamma}, alpha is {alpha}; gamma must be at least 0, alpha from 0 to 1")
        self.gamma, self.alpha, self.use_softmax = gamma, alpha, use_softmax

    def forward(self, prediction: Tensor, target: Tensor, valid: Tensor) -> Tensor:
        """Return the mean over annotated voxels and channels of logits (B, C, Z, Y, X); see `Loss`."""
        return mean_over((self._of_classes if self.use_softmax else self._of_channels)(prediction, target), valid)

    def _of_channels(self, logits: Tensor, target: Tensor) -> Tensor:
        losses = F.binary_cross_entropy_with_logits(logits, target, reduction="none")
        sure = F.logsigmoid(-logits * (2 * target - 1))  # log(1 - p), for a target of 0 or 1
        losses = (self.gamma * sure).exp() * losses
        return losses if self.alpha is None else losses * (self.alpha * target + (1 - self.alpha) * (1 - target))

    def _of_classes(self, logits: Tensor, target: Tensor) -> Tensor:
        log_p = F.log_softmax(logits, dim=1)
        losses = -((1 - log_p.exp()) ** self.gamma) * log_p * target
        if self.alpha is None:
            return losses
        weights = torch.full((1, logits.shape[1], 1, 1, 1), self.alpha, device=logits.device)
        weights[:, 0] = 1 - self.alpha
        return losses * weights
