"""A trained network with fewer operations: batch norm that directly follows a convolution becomes part of it."""

from __future__ import annotations

from copy import deepcopy

import torch
from torch import Tensor, nn

from connectomics.models.layers import Conv, NormAct
from connectomics.models.rsunet import ConvBlock


def fold_batch_norm(network: nn.Module) -> nn.Module:
    """Return a copy of a network, for evaluation only, that computes the same with fewer batch norms.

    In evaluation a batch norm is one factor and one offset per channel. Where its input is the output of a convolution
    that nobody else reads, the factor goes into the weights and the offset into the bias. That is the case in the
    middle of a residual pair; elsewhere a sum, a pooling or an upsampling lies between. Other norms are left alone.

    Args:
        network: Any network; blocks of the RSUNet in it are folded.

    Returns:
        The copy, in evaluation mode; `network` is not changed.
    """
    folded = deepcopy(network).eval()
    for block in folded.modules():
        if isinstance(block, ConvBlock):
            _fold_into(block.residual)
    return folded


@torch.no_grad()
def _fold_into(residual: nn.Sequential) -> None:
    """Fold the batch norm in the middle of norm-act, convolution, norm-act, convolution."""
    convolution, norm_act = residual[1], residual[2]
    assert isinstance(convolution, Conv)
    assert isinstance(norm_act, NormAct)
    norm, activation = norm_act
    if not isinstance(norm, nn.BatchNorm3d):
        return
    factor, offset = _affine(norm)
    bias = offset if convolution.bias is None else offset + factor * convolution.bias
    convolution.weight.mul_(factor.reshape(-1, 1, 1, 1, 1))
    convolution.bias = nn.Parameter(bias)
    residual[2] = activation


def _affine(norm: nn.BatchNorm3d) -> tuple[Tensor, Tensor]:
    """Return what a batch norm multiplies each channel by, and what it adds, in evaluation."""
    assert norm.running_mean is not None
    assert norm.running_var is not None
    factor = norm.weight / torch.sqrt(norm.running_var + norm.eps)
    return factor, norm.bias - norm.running_mean * factor
