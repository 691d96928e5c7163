"""The Dice loss."""

from __future__ import annotations

from typing import final

import torch
from torch import Tensor

from connectomics.losses.loss import Loss


@final
class DiceLoss(Loss):
    """One minus the soft Dice coefficient, per channel, averaged.

    Source:
        Milletari, Navab, Ahmadi 2016, V-Net, 3DV, equation in section 3 (without squares in the denominator).
    """

    def __init__(
        self, sigmoid: bool = True, smooth_nr: float = 1e-5, smooth_dr: float = 1e-5, batch: bool = False
    ) -> None:
        """Prepare the loss.

        Args:
            sigmoid: Whether the prediction still lacks its sigmoid.
            smooth_nr: Added to the numerator, so that nothing predicted where nothing is costs nothing.
            smooth_dr: Added to the denominator.
            batch: Sum over the whole batch before dividing, instead of dividing for each patch.
        """
        super().__init__()
        self.sigmoid, self.batch = sigmoid, batch
        self.smooth_nr, self.smooth_dr = smooth_nr, smooth_dr

    def forward(self, prediction: Tensor, target: Tensor, valid: Tensor) -> Tensor:
        """Return the loss of (B, C, Z, Y, X); voxels where `valid` (B, 1, Z, Y, X) is 0 do not count."""
        probability = (torch.sigmoid(prediction) if self.sigmoid else prediction) * valid
        target = target * valid
        axes = (0, 2, 3, 4) if self.batch else (2, 3, 4)
        shared = (probability * target).sum(axes)
        total = probability.sum(axes) + target.sum(axes)
        return (1 - (2 * shared + self.smooth_nr) / (total + self.smooth_dr)).mean()
