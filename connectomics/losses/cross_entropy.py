"""Cross-entropy, for independent channels and for classes of which each voxel has one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import final

import torch
from torch import Tensor
from torch.nn import functional as F

from connectomics.losses.loss import Loss, mean_over


@final
class WeightedBCEWithLogitsLoss(Loss):
    """Binary cross-entropy of logits, averaged over the annotated voxels; foreground may weigh more."""

    pos_weight: Tensor

    def __init__(self, pos_weight: float = 1.0) -> None:
        """Prepare the loss; a foreground voxel counts `pos_weight` times."""
        super().__init__()
        self.register_buffer("pos_weight", torch.tensor(float(pos_weight)), persistent=False)

    def forward(self, prediction: Tensor, target: Tensor, valid: Tensor) -> Tensor:
        """Return the loss of (B, C, Z, Y, X); voxels where `valid` (B, 1, Z, Y, X) is 0 do not count."""
        losses = F.binary_cross_entropy_with_logits(prediction, target, pos_weight=self.pos_weight, reduction="none")
        return mean_over(losses, valid)


@final
class CrossEntropyLoss(Loss):
    """Cross-entropy of classes that exclude each other, averaged over the annotated voxels.

    A voxel's loss is -w_c log softmax(logits)_c, c its class and w the class weights. The mean is over voxels, not
    over weights: a rare class that weighs ten times as much makes the loss larger where it occurs.
    """

    class_weights: Tensor

    def __init__(self, class_weights: Sequence[float] | None = None) -> None:
        """Prepare the loss.

        Args:
            class_weights: How often a voxel of each class counts, in the order of the channels; None is once.

        Raises:
            ValueError: If a weight is negative.
        """
        super().__init__()
        weights = torch.tensor([1.0] if class_weights is None else [float(weight) for weight in class_weights])
        if (weights < 0).any():
            raise ValueError(f"class_weights are {list(class_weights or ())}; none may be negative")
        self.channels = None if class_weights is None else len(weights)
        self.register_buffer("class_weights", weights.reshape(1, -1, 1, 1, 1), persistent=False)

    def forward(self, prediction: Tensor, target: Tensor, valid: Tensor) -> Tensor:
        """Return the loss.

        Args:
            prediction: Logits, (B, C, Z, Y, X).
            target: 1 in the channel of a voxel's class and 0 in the others, same shape.
            valid: (B, 1, Z, Y, X); voxels where it is 0 do not count.
        """
        losses = -(self.class_weights * target * F.log_softmax(prediction, dim=1)).sum(dim=1, keepdim=True)
        return mean_over(losses, valid)
