"""Losses that are the sum of two others."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from connectomics.losses.cross_entropy import CrossEntropyLoss, WeightedBCEWithLogitsLoss
from connectomics.losses.dice import DiceLoss
from connectomics.losses.focal import FocalLoss
from connectomics.losses.loss import Loss


@dataclass(frozen=True, slots=True)
class WeightedSum:
    """Several losses for one entry of the settings; each is logged by its own name."""

    parts: Mapping[str, tuple[float, Loss]]
    """Weight and loss, by name."""


def dice_and_cross_entropy(
    sigmoid: bool = True, softmax: bool = False, smooth_nr: float = 1e-5, smooth_dr: float = 1e-5, batch: bool = False,
    lambda_dice: float = 1.0, lambda_ce: float = 1.0,
) -> WeightedSum:  # fmt: skip
    """Return Dice and cross-entropy: of each channel by itself, or with `softmax` of classes that exclude each other.

    Args:
        sigmoid: Whether the channels are independent of each other.
        softmax: Whether they are classes instead; then set `sigmoid` to false.
        smooth_nr: Added to the numerator of the Dice coefficient.
        smooth_dr: Added to its denominator.
        batch: Sum over the whole batch before dividing.
        lambda_dice: Weight of the Dice loss.
        lambda_ce: Weight of the cross-entropy.
    """
    dice = DiceLoss(sigmoid, smooth_nr, smooth_dr, batch, softmax)
    entropy: Loss = CrossEntropyLoss() if softmax else WeightedBCEWithLogitsLoss()
    return WeightedSum({"dice": (lambda_dice, dice), "ce": (lambda_ce, entropy)})


def dice_and_focal(
    sigmoid: bool = True, softmax: bool = False, smooth_nr: float = 1e-5, smooth_dr: float = 1e-5, batch: bool = False,
    gamma: float = 2.0, alpha: float | None = None, lambda_dice: float = 1.0, lambda_focal: float = 1.0,
) -> WeightedSum:  # fmt: skip
    """Return Dice and the focal loss; the arguments are those of `dice_and_cross_entropy` and `FocalLoss`."""
    dice = DiceLoss(sigmoid, smooth_nr, smooth_dr, batch, softmax)
    return WeightedSum({"dice": (lambda_dice, dice), "focal": (lambda_focal, FocalLoss(gamma, alpha, softmax))})
