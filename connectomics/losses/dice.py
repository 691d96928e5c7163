"""The Dice loss."""

from __future__ import annotations

from typing import final

import torch
from torch import Tensor

from connectomics.losses.loss import Loss, require_one_activation, to_probability


@final
class DiceLoss(Loss):
    """One minus the soft Dice coefficient, per channel, averaged.

    In a validation it is that of all annotated voxels taken together, as if they were one patch. A mean over windows
    would depend on how the volume is cut: a window without foreground costs almost 0 or almost 1.

    Source:
        Milletari, Navab, Ahmadi 2016, V-Net, 3DV, equation in section 3 (without squares in the denominator).
    """

    def __init__(
        self, sigmoid: bool = True, smooth_nr: float = 1e-5, smooth_dr: float = 1e-5, batch: bool = False,
        softmax: bool = False,
    ) -> None:  # fmt: skip
        """Prepare the loss, which is not a mean over voxels.

        Args:
            sigmoid: Whether the prediction still lacks its sigmoid.
            smooth_nr: Added to the numerator, so that nothing predicted where nothing is costs nothing.
            smooth_dr: Added to the denominator.
            batch: Sum over the whole batch before dividing, instead of dividing for each patch.
            softmax: Whether the prediction still lacks its softmax instead; then set `sigmoid` to false.
        """
        super().__init__()
        require_one_activation(sigmoid, softmax)
        self.softmax = softmax
        self.sigmoid, self.batch, self.over_voxels = sigmoid, batch, False
        self.smooth_nr, self.smooth_dr = smooth_nr, smooth_dr

    def forward(self, prediction: Tensor, target: Tensor, valid: Tensor) -> Tensor:
        """Return the loss of (B, C, Z, Y, X); voxels where `valid` (B, 1, Z, Y, X) is 0 do not count."""
        axes = (0, 2, 3, 4) if self.batch else (2, 3, 4)
        return self._loss(*self._shared_and_total(prediction, target, valid, axes))

    def sums(self, prediction: Tensor, target: Tensor, valid: Tensor) -> Tensor:
        """Return what is shared and the total of both, in each channel: (2, C), float64."""
        patches = self._shared_and_total(prediction, target, valid, (2, 3, 4))
        return torch.stack([part.double().sum(0) for part in patches])

    def of_sums(self, sums: Tensor) -> Tensor:
        """Return the loss of all voxels that were summed."""
        return self._loss(sums[0], sums[1])

    def _shared_and_total(
        self, prediction: Tensor, target: Tensor, valid: Tensor, axes: tuple[int, ...]
    ) -> tuple[Tensor, Tensor]:
        """Return the sums over some axes."""
        probability = to_probability(prediction, self.sigmoid, self.softmax) * valid
        target = target * valid
        return (probability * target).sum(axes), probability.sum(axes) + target.sum(axes)

    def _loss(self, shared: Tensor, total: Tensor) -> Tensor:
        return (1 - (2 * shared + self.smooth_nr) / (total + self.smooth_dr)).mean()
