"""A trained network with fewer operations: batch norms become part of the convolutions around them."""

from __future__ import annotations

from copy import deepcopy

import torch
from torch import Tensor, nn

from connectomics.models.layers import Conv
from connectomics.models.rsunet import ConvBlock, RSUNet, UpBlock

SMALLEST_FACTOR = 1e-3
"""A batch norm that multiplies a channel by less than this is left alone where another layer would have to divide by
it."""


def fold_batch_norm(network: nn.Module) -> nn.Module:
    """Return a copy of a network, for evaluation only, that computes the same with fewer batch norms.

    In evaluation a batch norm is one factor and one offset per channel, and can move:

    - in the middle of a residual pair, and before the head, into the convolution that leads to it;
    - behind a residual sum, into the two convolutions whose results are added; the first batch norm of the pair, which
      reads the same channels, divides by the factor;
    - behind the sum of a skip and a coarser level, into the projection and the convolution that the skip comes from;
      the batch norm below the pooling, which reads the same channels, divides by the factor. A maximum commutes with
      it only if no factor is negative.

    What is left is the first batch norm of each residual pair and, at a quarter of the voxels, those behind a pooling.
    Other norms than batch norm are left alone.

    Args:
        network: Any network; blocks of the RSUNet in it are folded.

    Returns:
        The copy, in evaluation mode; `network` is not changed.
    """
    folded = deepcopy(network).eval()
    for module in folded.modules():
        if isinstance(module, ConvBlock):
            _fold_middle(module)
            _fold_sum(module)
    for module in folded.modules():
        if isinstance(module, RSUNet):
            _fold_head(module)
            _fold_skips(module)
    return folded


def _fold_middle(block: ConvBlock) -> None:
    """Fold the batch norm between the two convolutions of the residual pair."""
    _, convolution, norm_act, _ = block.residual
    norm = _batch_norm(norm_act)
    if norm is not None:
        _rescale(convolution, *_affine(norm))
        _take_out_norm(norm_act)


def _fold_sum(block: ConvBlock) -> None:
    """Fold the batch norm behind the residual sum."""
    behind, first = _batch_norm(block.post[0]), _batch_norm(block.residual[0])
    if behind is None or first is None:
        return
    factor, offset = _affine(behind)
    if factor.abs().min() < SMALLEST_FACTOR:
        return
    _rescale(block.pre[1], factor)
    _undo_before(first, factor)
    _rescale(block.residual[3], factor, offset)
    _take_out_norm(block.post[0])


def _fold_head(network: RSUNet) -> None:
    """Fold the batch norm before the head into the last convolution, whose output nothing else reads."""
    norm = _batch_norm(network.head[0])
    if norm is not None:
        blocks = [network.stem, *(up.block for up in network.ups if isinstance(up, UpBlock))]
        _rescale(blocks[-1].post[1], *_affine(norm))
        _take_out_norm(network.head[0])


def _fold_skips(network: RSUNet) -> None:
    """Fold the batch norm behind the sum of each skip with what comes from below."""
    below = [block for down in network.downs for block in down.children() if isinstance(block, ConvBlock)]
    encoders = [network.stem, *below]
    for up, encoder, coarser in zip(reversed(network.ups), encoders[:-1], encoders[1:], strict=True):
        assert isinstance(up, UpBlock)
        behind, pooled = _batch_norm(up.block.pre[0]), _batch_norm(coarser.pre[0])
        if behind is None or pooled is None:
            continue
        factor, offset = _affine(behind)
        if factor.min() < SMALLEST_FACTOR:
            continue
        _rescale(encoder.post[1], factor)
        _undo_before(pooled, factor)
        _rescale(up.project, factor, offset)
        _take_out_norm(up.block.pre[0])


def _batch_norm(norm_act: nn.Module) -> nn.BatchNorm3d | None:
    """Return the batch norm of a norm and activation; None if it has another norm, or is folded already."""
    assert isinstance(norm_act, nn.Sequential)
    return norm_act[0] if isinstance(norm_act[0], nn.BatchNorm3d) else None


def _take_out_norm(norm_act: nn.Module) -> None:
    """Leave only the activation of a norm and activation."""
    assert isinstance(norm_act, nn.Sequential)
    norm_act[0] = nn.Identity()


def _affine(norm: nn.BatchNorm3d) -> tuple[Tensor, Tensor]:
    """Return what a batch norm multiplies each channel by, and what it adds, in evaluation."""
    assert norm.running_mean is not None
    assert norm.running_var is not None
    factor = norm.weight / torch.sqrt(norm.running_var + norm.eps)
    return factor, norm.bias - norm.running_mean * factor


@torch.no_grad()
def _rescale(convolution: nn.Module, factor: Tensor, offset: Tensor | None = None) -> None:
    """Multiply what a convolution gives by `factor`, (C,), and add `offset`."""
    assert isinstance(convolution, Conv)
    convolution.weight.mul_(factor.reshape(-1, 1, 1, 1, 1))
    if convolution.bias is not None:
        convolution.bias.mul_(factor)
    if offset is None:
        return
    convolution.bias = nn.Parameter(offset if convolution.bias is None else convolution.bias + offset)


@torch.no_grad()
def _undo_before(norm: nn.BatchNorm3d, factor: Tensor) -> None:
    """Let a batch norm give what it gave when its input is multiplied by `factor`, (C,)."""
    assert norm.running_mean is not None
    assert norm.running_var is not None
    # weight * (x - mean) / sqrt(var + eps), with mean and var of the new input; eps does not scale, the weight makes up
    old = torch.sqrt(norm.running_var + norm.eps)
    norm.running_mean.mul_(factor)
    norm.running_var.mul_(factor**2)
    norm.weight.mul_(torch.sqrt(norm.running_var + norm.eps) / old / factor)
