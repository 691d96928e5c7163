from collections.abc import Callable

import pytest
import torch
from torch.nn import functional as F

from connectomics.config.model import LossConfig, LossTermConfig
from connectomics.errors import ConfigError
from connectomics.losses import Criterion
from connectomics.losses.cross_entropy import CrossEntropyLoss, WeightedBCEWithLogitsLoss
from connectomics.losses.dice import DiceLoss
from connectomics.losses.loss import Loss
from connectomics.losses.non_overlap import NonOverlapLoss

BCE, DICE = "WeightedBCEWithLogitsLoss", "DiceLoss"


def patch(channels: int = 1) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(2, channels, 3, 4, 5, generator=generator)
    target = (torch.rand(2, channels, 3, 4, 5, generator=generator) > 0.5).float()
    valid = (torch.rand(2, 1, 3, 4, 5, generator=generator) > 0.3).float()
    return logits, target, valid


def sides() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Logits of [pre, post, union], which voxels have one class each, and which are annotated."""
    logits, target, valid = patch(3)
    classes = target[:, :1] + target[:, 1:2]  # 0, 1 or 2
    return logits, torch.cat([(classes == c).float() for c in range(3)], dim=1), valid


EVERY_LOSS = [
    (WeightedBCEWithLogitsLoss(), patch), (DiceLoss(), patch), (DiceLoss(batch=True), patch),
    (CrossEntropyLoss([1, 10, 10]), sides), (CrossEntropyLoss(), sides), (NonOverlapLoss(), sides),
]  # fmt: skip


@pytest.mark.parametrize(("loss", "draw"), EVERY_LOSS)
def test_voxels_that_are_not_annotated_do_not_count(
    loss: torch.nn.Module, draw: Callable[[], tuple[torch.Tensor, torch.Tensor, torch.Tensor]]
) -> None:
    logits, target, valid = draw()
    elsewhere = torch.where(valid > 0, logits, torch.full_like(logits, 9.0))
    torch.testing.assert_close(loss(elsewhere, 1 - target * valid - (1 - target) * valid + 0 * target, 0 * valid),
                               loss(logits, target, 0 * valid))  # fmt: skip
    torch.testing.assert_close(loss(elsewhere, target, valid), loss(logits, target, valid))


@pytest.mark.parametrize(("loss", "draw"), EVERY_LOSS)
def test_a_validation_does_not_depend_on_how_its_voxels_are_cut(
    loss: Loss, draw: Callable[[], tuple[torch.Tensor, torch.Tensor, torch.Tensor]]
) -> None:
    logits, target, valid = draw()
    whole = loss.of_sums(loss.sums(logits, target, valid))
    for axis, sizes in ((0, [1, 1]), (2, [1, 2]), (4, [2, 1, 2])):
        parts = zip(*(part.split(sizes, axis) for part in (logits, target, valid)), strict=True)
        summed = torch.stack([loss.sums(*part) for part in parts]).sum(0)
        torch.testing.assert_close(loss.of_sums(summed), whole, rtol=1e-6, atol=0)
    around = [torch.cat([part, torch.zeros_like(part)]) for part in (logits, target, valid)]
    torch.testing.assert_close(loss.of_sums(loss.sums(*around)), whole, rtol=1e-6, atol=0)


@pytest.mark.parametrize(("loss", "draw"), EVERY_LOSS)
def test_a_validation_of_one_patch_has_the_loss_of_that_patch(
    loss: Loss, draw: Callable[[], tuple[torch.Tensor, torch.Tensor, torch.Tensor]]
) -> None:
    logits, target, valid = (part[:1] for part in draw())
    torch.testing.assert_close(loss.of_sums(loss.sums(logits, target, valid)).float(), loss(logits, target, valid))


def test_cross_entropy_is_the_mean_over_annotated_voxels() -> None:
    logits, target, valid = patch(2)
    by_hand = -(target * logits.sigmoid().log() + (1 - target) * (1 - logits.sigmoid()).log())
    mean = by_hand[valid.expand_as(by_hand) > 0].mean()
    torch.testing.assert_close(WeightedBCEWithLogitsLoss()(logits, target, valid), mean)


def test_foreground_weighs_as_much_as_pos_weight_says() -> None:
    logits, ones = torch.zeros(1, 1, 1, 1, 2), torch.ones(1, 1, 1, 1, 2)
    assert WeightedBCEWithLogitsLoss(5.0)(logits, ones, ones) == 5 * WeightedBCEWithLogitsLoss()(logits, ones, ones)


def test_dice_is_zero_for_the_truth_and_one_for_its_complement() -> None:
    _, target, _ = patch()
    everywhere = torch.ones_like(target)
    assert DiceLoss()(100 * (target - 0.5), target, everywhere) == pytest.approx(0, abs=1e-4)
    assert DiceLoss()(100 * (0.5 - target), target, everywhere) == pytest.approx(1, abs=1e-4)


def test_dice_of_nothing_where_nothing_is_costs_nothing() -> None:
    nothing = torch.zeros(1, 1, 2, 3, 4)
    assert DiceLoss(sigmoid=False)(nothing, nothing, nothing + 1) == pytest.approx(0, abs=1e-6)


def test_cross_entropy_of_classes_is_the_weighted_mean_over_annotated_voxels() -> None:
    logits, target, valid = sides()
    by_torch = F.cross_entropy(logits, target.argmax(dim=1), torch.tensor([1.0, 10.0, 10.0]), reduction="none")
    mean = by_torch[valid[:, 0] > 0].mean()
    torch.testing.assert_close(CrossEntropyLoss([1, 10, 10])(logits, target, valid), mean)


def test_without_class_weights_every_voxel_counts_once() -> None:
    logits, target, valid = sides()
    torch.testing.assert_close(
        CrossEntropyLoss()(logits, target, valid), CrossEntropyLoss([1, 1, 1])(logits, target, valid)
    )


def test_where_nothing_is_annotated_nothing_is_learnt() -> None:
    for loss, draw in EVERY_LOSS:
        logits, target, valid = draw()
        logits.requires_grad_()
        loss(logits, target, 0 * valid).backward()
        assert logits.grad is not None
        assert not logits.grad.any()


def test_overlap_of_the_sides_costs_their_product_in_the_union_over_annotated_voxels() -> None:
    logits, target, valid = sides()
    product = logits.sigmoid().prod(dim=1, keepdim=True)
    torch.testing.assert_close(NonOverlapLoss()(logits, target, valid), product[valid > 0].mean())


def test_overlap_parts_the_sides_and_leaves_the_union_alone() -> None:
    logits = torch.zeros(1, 3, 1, 1, 1, requires_grad=True)
    NonOverlapLoss()(logits, torch.zeros_like(logits), torch.ones(1, 1, 1, 1, 1)).backward()
    assert logits.grad is not None
    pre, post, union = logits.grad.flatten().tolist()
    assert pre == post == pytest.approx(0.25 * 0.5 * 0.5)  # of sigmoid at 0, times the other two
    assert union == 0


def test_terms_are_weighted_named_and_see_their_channels() -> None:
    logits, target, valid = patch(3)
    config = LossConfig(losses=[
        LossTermConfig(function=BCE, weight=2.0, pred_slice="0:1", target_slice="2:3"),
        LossTermConfig(function=BCE, pred_slice="1:", target_slice=":2"),
        LossTermConfig(function=DICE, weight=0.5),
    ])  # fmt: skip
    terms = Criterion(config, out_channels=3, target_channels=3)(logits, target, valid)
    assert list(terms) == [BCE, f"{BCE}_2", DICE]
    torch.testing.assert_close(terms[BCE], 2 * WeightedBCEWithLogitsLoss()(logits[:, :1], target[:, 2:], valid))
    torch.testing.assert_close(terms[f"{BCE}_2"], WeightedBCEWithLogitsLoss()(logits[:, 1:], target[:, :2], valid))
    torch.testing.assert_close(terms[DICE], 0.5 * DiceLoss()(logits, target, valid))


def test_the_loss_is_computed_in_float32_whatever_the_network_gives() -> None:
    logits, target, valid = patch()
    terms = Criterion(LossConfig(), 1, 1)(logits.bfloat16(), target, valid > 0)
    assert all(term.dtype == torch.float32 for term in terms.values())


@pytest.mark.parametrize(
    ("term", "says"),
    [
        (LossTermConfig(function="DiceLos"), r"losses\[0\]\.function is 'DiceLos'; .* did you mean 'DiceLoss'"),
        (
            LossTermConfig(function=DICE, kwargs={"sigmoids": True}),
            r"kwargs\.sigmoids is not an argument of DiceLoss; did",
        ),
        (LossTermConfig(function=BCE, kwargs={"pos_weight": "much"}), "do not fit WeightedBCEWithLogitsLoss"),
        (LossTermConfig(function=BCE, pred_slice="0:2"), "2 channel"),
        (
            LossTermConfig(function="NonOverlapLoss", pred_slice="0:1"),
            "NonOverlapLoss takes 3 channels, 0:1 gives it 1",
        ),
        (
            LossTermConfig(function="CrossEntropyLoss", pred_slice="0:1", kwargs={"class_weights": [1, 10, 10]}),
            "takes 3",
        ),
        (LossTermConfig(function="CrossEntropyLoss", kwargs={"class_weights": [1, -10]}), "none may be negative"),
        (LossTermConfig(function=BCE, pred_slice="0:9"), "does not lie within the 2"),
    ],
)
def test_a_loss_that_cannot_be_is_refused(term: LossTermConfig, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        Criterion(LossConfig(losses=[term]), out_channels=2, target_channels=1)
