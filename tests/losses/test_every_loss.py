"""Laws of every loss in the table, and that those which MONAI has too are MONAI's where all voxels are annotated."""

from typing import Any

import pytest
import torch
from torch import Tensor

from connectomics.config.model import LossConfig, LossTermConfig
from connectomics.errors import ConfigError
from connectomics.losses import LOSSES, Criterion
from connectomics.losses.dice import DiceLoss
from connectomics.losses.region import TverskyLoss

CLASSES: dict[str, dict[str, Any]] = {
    "CrossEntropyLoss": {}, "DiceLoss": {"sigmoid": False, "softmax": True},
    "TverskyLoss": {"sigmoid": False, "softmax": True, "alpha": 0.3, "beta": 0.7},
    "FocalLoss": {"use_softmax": True, "alpha": 0.3}, "DiceCELoss": {"sigmoid": False, "softmax": True},
    "DiceFocalLoss": {"sigmoid": False, "softmax": True, "lambda_focal": 2.0},
    "GeneralizedDiceLoss": {"sigmoid": False, "softmax": True},
}  # fmt: skip
"""Arguments for classes that exclude each other."""

EVERY = [(name, {}) for name in LOSSES] + list(CLASSES.items()) + [
    ("TverskyLoss", {"batch": True}), ("GeneralizedDiceLoss", {"batch": True}),
    ("GeneralizedDiceLoss", {"w_type": "uniform"}), ("GeneralizedDiceLoss", {"w_type": "simple"}),
]  # fmt: skip


def criterion(name: str, **arguments: Any) -> Criterion:
    return Criterion(LossConfig(losses=[LossTermConfig(function=name, kwargs=arguments)]), 3, 3)


def total(name: str, given: tuple[Tensor, Tensor, Tensor], **arguments: Any) -> Tensor:
    return torch.stack(list(criterion(name, **arguments)(*given).values())).sum()


def voxels() -> tuple[Tensor, Tensor, Tensor]:
    """Logits of three classes, the class of each voxel, and which voxels are annotated."""
    generator = torch.Generator().manual_seed(0)
    logits = 3 * torch.randn(2, 3, 3, 4, 5, generator=generator)
    classes = torch.randint(0, 3, (2, 1, 3, 4, 5), generator=generator)
    target = torch.cat([(classes == c).float() for c in range(3)], dim=1)
    return logits, target, (torch.rand(2, 1, 3, 4, 5, generator=generator) > 0.3).float()


@pytest.mark.parametrize(("name", "arguments"), EVERY)
def test_a_voxel_that_is_not_annotated_changes_neither_loss_nor_gradient(name: str, arguments: dict[str, Any]) -> None:
    logits, target, valid = voxels()
    outside = valid.expand_as(logits) == 0
    seen = logits.clone().requires_grad_()
    loss = total(name, (seen, target, valid), **arguments)
    loss.backward()
    assert seen.grad is not None
    assert seen.grad.any()
    assert not seen.grad[outside].any()
    changed = torch.where(outside, -7.0, logits).requires_grad_()
    again = total(name, (changed, torch.where(outside, 1 - target, target), valid), **arguments)
    again.backward()
    assert changed.grad is not None
    torch.testing.assert_close(again, loss, rtol=0, atol=0)
    torch.testing.assert_close(changed.grad, seen.grad, rtol=0, atol=0)


@pytest.mark.parametrize(("name", "arguments"), EVERY)
def test_nothing_annotated_or_nothing_there_gives_finite_numbers(name: str, arguments: dict[str, Any]) -> None:
    logits, target, valid = voxels()
    for here, seen in ((target, 0 * valid), (0 * target, valid)):
        prediction = logits.clone().requires_grad_()
        loss = total(name, (prediction, here, seen), **arguments)
        loss.backward()
        assert prediction.grad is not None
        assert loss.isfinite()
        assert prediction.grad.isfinite().all()


@pytest.mark.parametrize(("name", "arguments"), EVERY)
def test_a_validation_does_not_depend_on_how_its_voxels_are_cut(name: str, arguments: dict[str, Any]) -> None:
    given, loss = voxels(), criterion(name, **arguments)
    whole = loss.of_sums(loss.sums(*given))
    parts = zip(*(part.split([1, 2], 2) for part in given), strict=True)
    added = [torch.stack(sums).sum(0) for sums in zip(*(loss.sums(*part) for part in parts), strict=True)]
    for term, value in loss.of_sums(added).items():
        torch.testing.assert_close(value, whole[term], rtol=1e-6, atol=0)


@pytest.mark.parametrize(("name", "arguments"), EVERY)
def test_what_is_surely_right_costs_next_to_nothing(name: str, arguments: dict[str, Any]) -> None:
    _, target, valid = voxels()
    assert total(name, (60 * (target - 0.5), target, valid), **arguments) == pytest.approx(0, abs=1e-4)


SAME = [
    ("DiceLoss", {"sigmoid": True}), ("DiceLoss", {"sigmoid": True, "batch": True}), ("DiceLoss", {"softmax": True}),
    ("TverskyLoss", {"sigmoid": True, "alpha": 0.3, "beta": 0.7}),
    ("TverskyLoss", {"softmax": True, "alpha": 0.2, "beta": 0.9, "batch": True}),
    ("FocalLoss", {}), ("FocalLoss", {"gamma": 0.0}), ("FocalLoss", {"gamma": 1.5, "alpha": 0.25}),
    ("FocalLoss", {"use_softmax": True}), ("FocalLoss", {"use_softmax": True, "alpha": 0.25}),
    ("GeneralizedDiceLoss", {"sigmoid": True}), ("GeneralizedDiceLoss", {"softmax": True}),
    ("GeneralizedDiceLoss", {"softmax": True, "batch": True}),
    ("GeneralizedDiceLoss", {"sigmoid": True, "w_type": "simple"}),
    ("GeneralizedDiceLoss", {"sigmoid": True, "w_type": "uniform"}),
    ("DiceCELoss", {"softmax": True, "lambda_dice": 0.5, "lambda_ce": 2.0}),
    ("DiceFocalLoss", {"sigmoid": True, "gamma": 1.0, "lambda_focal": 3.0}),
]  # fmt: skip


@pytest.mark.parametrize("lacks_a_class", [False, True])
@pytest.mark.parametrize(("name", "arguments"), SAME)
def test_where_all_voxels_are_annotated_a_loss_is_monais(
    name: str, arguments: dict[str, Any], lacks_a_class: bool
) -> None:
    losses = pytest.importorskip("monai.losses")
    logits, target, valid = voxels()
    if lacks_a_class:
        target = torch.cat([target[:, :1], target[:, 1:2] + target[:, 2:], 0 * target[:, 2:]], dim=1)
    ours = {"sigmoid": False} if "softmax" in arguments else {}
    mine, theirs = logits.clone().requires_grad_(), logits.clone().requires_grad_()
    loss = total(name, (mine, target, torch.ones_like(valid)), **ours, **arguments)
    smooth = {} if name == "FocalLoss" else {"smooth_nr": 1e-5, "smooth_dr": 1e-5}
    monai = getattr(losses, name)(**smooth, **arguments)(theirs, target)
    torch.testing.assert_close(loss, monai)
    loss.backward()
    monai.backward()
    torch.testing.assert_close(mine.grad, theirs.grad)


def test_one_channel_of_dice_and_cross_entropy_is_monais() -> None:
    losses = pytest.importorskip("monai.losses")
    logits, target, valid = (part[:, :1] for part in voxels())
    terms = Criterion(LossConfig(losses=[LossTermConfig(function="DiceCELoss")]), 1, 1)(logits, target, valid * 0 + 1)
    assert list(terms) == ["DiceCELoss_dice", "DiceCELoss_ce"]
    torch.testing.assert_close(sum(terms.values()), losses.DiceCELoss(sigmoid=True)(logits, target))


def test_tversky_of_halves_is_dice() -> None:
    given = voxels()
    torch.testing.assert_close(
        TverskyLoss(smooth_nr=0, smooth_dr=0)(*given), DiceLoss(smooth_nr=0, smooth_dr=0)(*given)
    )


@pytest.mark.parametrize(
    ("name", "arguments", "says"),
    [("DiceLoss", {"softmax": True}, "sigmoid and softmax exclude each other"),
     ("DiceCELoss", {"softmax": True}, "sigmoid and softmax exclude each other"),
     ("FocalLoss", {"alpha": 3}, "alpha from 0 to 1"),
     ("GeneralizedDiceLoss", {"w_type": "cubic"}, "square, simple or"),
     ("DiceFocalLoss", {"lambda_ce": 3}, r"kwargs\.lambda_ce is not an argument of DiceFocalLoss")],
)  # fmt: skip
def test_arguments_that_mean_nothing_are_refused(name: str, arguments: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        criterion(name, **arguments)
