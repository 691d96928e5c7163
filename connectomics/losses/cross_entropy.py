"""Binary cross-entropy."""

from __future__ import annotations

from typing import final

import torch
from torch import Tensor, nn
from torch.nn import functional as F


@final
class WeightedBCEWithLogitsLoss(nn.Module):
    """Binary cross-entropy of logits, averaged over the annotated voxels; foreground may weigh more."""

    def __init__(self, pos_weight: float = 1.0) -> None:
        """Prepare the loss; a foreground voxel counts `pos_weight` times."""
        super().__init__()
        self.register_buffer("pos_weight", torch.tensor(float(pos_weight)), persistent=False)

    def forward(self, prediction: Tensor, target: Tensor, valid: Tensor) -> Tensor:
        """Return the loss of (B, C, Z, Y, X); voxels where `valid` (B, 1, Z, Y, X) is 0 do not count."""
        losses = F.binary_cross_entropy_with_logits(prediction, target, pos_weight=self.pos_weight, reduction="none")
        count = valid.sum() * prediction.shape[1]
        return (losses * valid).sum() / count.clamp(min=1)
