"""The squared error."""

from __future__ import annotations

from typing import final

from torch import Tensor

from connectomics.losses.loss import Loss, mean_over, to_probability


@final
class MSELoss(Loss):
    """The squared difference of probability and target, averaged over the annotated voxels."""

    def __init__(self, sigmoid: bool = True) -> None:
        """Prepare the loss; `sigmoid` says whether the prediction still lacks its sigmoid."""
        super().__init__()
        self.sigmoid = sigmoid

    def forward(self, prediction: Tensor, target: Tensor, valid: Tensor) -> Tensor:
        """Return the loss of (B, C, Z, Y, X); voxels where `valid` (B, 1, Z, Y, X) is 0 do not count."""
        return mean_over((to_probability(prediction, self.sigmoid, softmax=False) - target) ** 2, valid)
