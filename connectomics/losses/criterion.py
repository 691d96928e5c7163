"""The weighted sum of loss terms that `model.loss.losses` lists."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import final

from torch import Tensor, nn

from connectomics.config.model import LossConfig, LossTermConfig
from connectomics.config.slices import parse_slice
from connectomics.errors import ConfigError
from connectomics.lookup import build, pick
from connectomics.losses.combined import WeightedSum, dice_and_cross_entropy, dice_and_focal
from connectomics.losses.cross_entropy import CrossEntropyLoss, WeightedBCEWithLogitsLoss
from connectomics.losses.dice import DiceLoss
from connectomics.losses.focal import FocalLoss
from connectomics.losses.loss import Loss
from connectomics.losses.non_overlap import NonOverlapLoss
from connectomics.losses.region import GeneralizedDiceLoss, TverskyLoss
from connectomics.losses.squared_error import MSELoss

LOSSES: Mapping[str, Callable[..., Loss | WeightedSum]] = {
    "CrossEntropyLoss": CrossEntropyLoss,
    "DiceCELoss": dice_and_cross_entropy,
    "DiceFocalLoss": dice_and_focal,
    "DiceLoss": DiceLoss,
    "FocalLoss": FocalLoss,
    "GeneralizedDiceLoss": GeneralizedDiceLoss,
    "MSELoss": MSELoss,
    "NonOverlapLoss": NonOverlapLoss,
    "TverskyLoss": TverskyLoss,
    "WeightedBCEWithLogitsLoss": WeightedBCEWithLogitsLoss,
}
"""`model.loss.losses[].function` to the loss of (prediction, target, valid), a scalar, or to the parts of a sum."""


@final
class Criterion(nn.Module):
    """Every term of the loss, weighted, by name."""

    def __init__(self, config: LossConfig, out_channels: int, target_channels: int) -> None:
        """Build the terms.

        Args:
            config: The terms.
            out_channels: Channels of the network's output, for `pred_slice`.
            target_channels: Channels of the target, for `target_slice`.

        Raises:
            ConfigError: If a loss or one of its arguments is unknown, or prediction and target differ in channels.
        """
        super().__init__()
        keys = [f"model.loss.losses[{i}]" for i in range(len(config.losses))]
        self.losses = nn.ModuleList()
        self.names: list[str] = []
        self.weights: list[float] = []
        self.channels: list[tuple[slice, slice]] = []
        names = _names([term.function for term in config.losses])
        for term, key, name in zip(config.losses, keys, names, strict=True):
            built = _build(term, key)
            channels = _channels(term, key, out_channels, target_channels)
            for part, weight, loss in _parts(built):
                _require_channels(loss, term, key, channels[0])
                self.losses.append(loss)
                self.names.append(name + part)
                self.weights.append(term.weight * weight)
                self.channels.append(channels)

    def forward(self, logits: Tensor, target: Tensor, valid: Tensor) -> dict[str, Tensor]:
        """Return each weighted term, computed in float32.

        Args:
            logits: (B, C, Z, Y, X), before the sigmoid.
            target: (B, D, Z, Y, X).
            valid: (B, 1, Z, Y, X); voxels where it is 0 do not count.
        """
        logits, target, valid = logits.float(), target.float(), valid.float()
        terms = zip(self.names, self.losses, self.weights, self.channels, strict=True)
        return {name: w * loss(logits[:, p], target[:, t], valid) for name, loss, w, (p, t) in terms}

    def sums(self, logits: Tensor, target: Tensor, valid: Tensor) -> list[Tensor]:
        """Return, for each term, numbers that are added up over all windows of a validation; see `Loss.sums`."""
        logits, target, valid = logits.float(), target.float(), valid.float()
        terms = zip(self._losses, self.channels, strict=True)
        return [loss.sums(logits[:, p], target[:, t], valid) for loss, (p, t) in terms]

    def of_sums(self, sums: Sequence[Tensor]) -> dict[str, Tensor]:
        """Return each weighted term of a validation whose sums these are."""
        terms = zip(self.names, self._losses, self.weights, sums, strict=True)
        return {name: w * loss.of_sums(added) for name, loss, w, added in terms}

    @property
    def over_voxels(self) -> list[bool]:
        """Whether each term is a mean over the annotated voxels of a batch."""
        return [loss.over_voxels for loss in self._losses]

    @property
    def _losses(self) -> list[Loss]:
        """The terms, as what they are: a ModuleList hands out any modules."""
        return [loss for loss in self.losses if isinstance(loss, Loss)]


def _names(functions: list[str]) -> list[str]:
    """Return the functions' names; those that occur again get their number."""
    again = [functions[:i].count(name) for i, name in enumerate(functions)]
    return [name if n == 0 else f"{name}_{n + 1}" for name, n in zip(functions, again, strict=True)]


def _parts(loss: Loss | WeightedSum) -> list[tuple[str, float, Loss]]:
    """Return the losses of one entry: what is added to its name, the weight within it, the loss."""
    if isinstance(loss, Loss):
        return [("", 1.0, loss)]
    return [(f"_{name}", weight, part) for name, (weight, part) in loss.parts.items()]


def _require_channels(loss: Loss, term: LossTermConfig, key: str, seen: slice) -> None:
    if loss.channels not in (None, seen.stop - seen.start):
        raise ConfigError(
            f"{key}: {term.function} takes {loss.channels} channels, {term.pred_slice or 'model.out_channels'} "
            f"gives it {seen.stop - seen.start}"
        )


def _build(term: LossTermConfig, key: str) -> Loss | WeightedSum:
    return build(pick(LOSSES, term.function, f"{key}.function"), term.kwargs, term.function, f"{key}.kwargs")


def _channels(term: LossTermConfig, key: str, outputs: int, targets: int) -> tuple[slice, slice]:
    predicted = parse_slice(term.pred_slice or ":", outputs, f"{key}.pred_slice")
    wanted = parse_slice(term.target_slice or ":", targets, f"{key}.target_slice")
    if len(predicted) != len(wanted):
        raise ConfigError(
            f"{key}: the prediction has {len(predicted)} channel(s) there, the target {len(wanted)}; "
            "set model.out_channels, pred_slice or target_slice so that they agree"
        )
    return slice(predicted.start, predicted.stop), slice(wanted.start, wanted.stop)
