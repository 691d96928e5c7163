"""Losses that compare whole patches: how much of the prediction and of the annotation is shared."""

from __future__ import annotations

from abc import abstractmethod
from typing import Literal, final

import torch
from torch import Tensor

from connectomics.losses.loss import Loss, require_one_activation, to_probability


class RegionLoss(Loss):
    """A loss of three sums over the annotated voxels of a patch: shared, predicted, annotated.

    In a validation it is that of all annotated voxels taken together, as if they were one patch.
    """

    over_voxels = False

    def __init__(self, sigmoid: bool, softmax: bool, smooth_nr: float, smooth_dr: float, batch: bool) -> None:
        super().__init__()
        require_one_activation(sigmoid, softmax)
        self.sigmoid, self.softmax, self.batch = sigmoid, softmax, batch
        self.smooth_nr, self.smooth_dr = smooth_nr, smooth_dr

    @abstractmethod
    def of_regions(self, shared: Tensor, predicted: Tensor, truth: Tensor) -> Tensor:
        """Return the loss of sums (B, C), B patches and C channels."""

    def forward(self, prediction: Tensor, target: Tensor, valid: Tensor) -> Tensor:
        """Return the loss of (B, C, Z, Y, X); voxels where `valid` (B, 1, Z, Y, X) is 0 do not count."""
        regions = self._regions(prediction, target, valid)
        return self.of_regions(*(part.sum(0, keepdim=True) if self.batch else part for part in regions))

    def sums(self, prediction: Tensor, target: Tensor, valid: Tensor) -> Tensor:
        """Return shared, predicted and annotated of each channel: (3, C), float64."""
        return torch.stack([part.double().sum(0) for part in self._regions(prediction, target, valid)])

    def of_sums(self, sums: Tensor) -> Tensor:
        """Return the loss of all voxels that were summed."""
        return self.of_regions(*(part[None] for part in sums))

    def _regions(self, prediction: Tensor, target: Tensor, valid: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        probability = to_probability(prediction, self.sigmoid, self.softmax) * valid
        target = target * valid
        return (probability * target).sum((2, 3, 4)), probability.sum((2, 3, 4)), target.sum((2, 3, 4))


@final
class TverskyLoss(RegionLoss):
    """One minus the Tversky index: a Dice loss in which invented and missed voxels weigh differently.

    Source:
        Salehi, Erdogmus, Gholipour 2017, Tversky loss function for image segmentation, arXiv:1706.05721, equation 2.
    """

    def __init__(
        self, alpha: float = 0.5, beta: float = 0.5, sigmoid: bool = True, softmax: bool = False,
        smooth_nr: float = 1e-5, smooth_dr: float = 1e-5, batch: bool = False,
    ) -> None:  # fmt: skip
        """Prepare the loss; with `alpha` and `beta` of 0.5 it is the Dice loss.

        Args:
            alpha: Weight of what is predicted and not annotated.
            beta: Weight of what is annotated and not predicted; 0.7, with an `alpha` of 0.3, favours recall.
            sigmoid: Whether the prediction still lacks its sigmoid.
            softmax: Whether it still lacks its softmax instead; then set `sigmoid` to false.
            smooth_nr: Added to the numerator.
            smooth_dr: Added to the denominator.
            batch: Sum over the whole batch before dividing.
        """
        super().__init__(sigmoid, softmax, smooth_nr, smooth_dr, batch)
        self.alpha, self.beta = alpha, beta

    def of_regions(self, shared: Tensor, predicted: Tensor, truth: Tensor) -> Tensor:
        """Return the mean over patches and channels."""
        wrong = self.alpha * (predicted - shared) + self.beta * (truth - shared)
        return (1 - (shared + self.smooth_nr) / (shared + wrong + self.smooth_dr)).mean()


@final
class GeneralizedDiceLoss(RegionLoss):
    """A Dice loss over all channels together, each weighted by how rare it is.

    With a single channel the weight cancels, but for the smoothing; a patch without foreground then teaches nothing.

    Source:
        Sudre, Li, Vercauteren, Ourselin, Cardoso 2017, Generalised Dice overlap, arXiv:1707.03237, equation in
        section 2.1.
    """

    def __init__(
        self, w_type: Literal["square", "simple", "uniform"] = "square", sigmoid: bool = True, softmax: bool = False,
        smooth_nr: float = 1e-5, smooth_dr: float = 1e-5, batch: bool = False,
    ) -> None:  # fmt: skip
        """Prepare the loss.

        Args:
            w_type: A channel weighs 1 / (its annotated voxels)^2 ("square"), 1 / them ("simple"), or 1 ("uniform"). One
                without any weighs as much as the heaviest other.
            sigmoid: Whether the prediction still lacks its sigmoid.
            softmax: Whether it still lacks its softmax instead; then set `sigmoid` to false.
            smooth_nr: Added to the numerator.
            smooth_dr: Added to the denominator.
            batch: Sum over the whole batch before dividing.

        Raises:
            ValueError: If there is no such `w_type`.
        """
        super().__init__(sigmoid, softmax, smooth_nr, smooth_dr, batch)
        if w_type not in ("square", "simple", "uniform"):
            raise ValueError(f"w_type is {w_type!r}; it must be square, simple or uniform")
        self.power = {"square": 2, "simple": 1, "uniform": 0}[w_type]

    def of_regions(self, shared: Tensor, predicted: Tensor, truth: Tensor) -> Tensor:
        """Return the mean over patches."""
        if self.power == 0:
            weights = torch.ones_like(truth)
        else:
            finite = torch.where(truth > 0, truth.clamp(min=1e-9) ** -self.power, 0.0)
            weights = torch.where(truth > 0, finite, finite.amax(dim=1, keepdim=True))
        both = 2 * (weights * shared).sum(1) + self.smooth_nr
        return (1 - both / ((weights * (predicted + truth)).sum(1) + self.smooth_dr)).mean()
