"""The residual symmetric U-Net, anisotropic."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import partial
from math import prod
from typing import final

import torch
from torch import Tensor, nn

from connectomics.config.model import RSUNetConfig
from connectomics.geometry import ZYX
from connectomics.models.layers import Conv, NormAct, Pool, Upsample
from connectomics.models.recompute import recompute

MakeNormAct = Callable[[int], nn.Module]


@final
class ConvBlock(nn.Module):
    """Four convolutions: in, two in a residual pair, out; each but the sum is led by norm and activation."""

    def __init__(self, in_channels: int, out_channels: int, kernel: ZYX, norm_act: MakeNormAct) -> None:
        super().__init__()
        self.pre = nn.Sequential(norm_act(in_channels), Conv(in_channels, out_channels, kernel))
        self.residual = nn.Sequential(
            norm_act(out_channels),
            Conv(out_channels, out_channels, kernel),
            norm_act(out_channels),
            Conv(out_channels, out_channels, kernel),
        )
        self.post = nn.Sequential(norm_act(out_channels), Conv(out_channels, out_channels, kernel))

    def forward(self, volume: Tensor) -> Tensor:
        """Map (B, I, Z, Y, X) to (B, O, Z, Y, X)."""
        volume = self.pre(volume)
        return self.post(volume + self.residual(volume))


@final
class UpBlock(nn.Module):
    """One level of the decoder: project, upsample, add the skip, convolve.

    A 1 x 1 x 1 projection commutes with linear upsampling, so it runs first, at the small size.
    """

    def __init__(self, in_channels: int, out_channels: int, factor: ZYX, kernel: ZYX, norm_act: MakeNormAct) -> None:
        super().__init__()
        self.project = Conv(in_channels, out_channels, (1, 1, 1))
        self.upsample = Upsample(factor)
        self.block = ConvBlock(out_channels, out_channels, kernel, norm_act)

    def forward(self, coarse: Tensor, skip: Tensor) -> Tensor:
        """Join the coarser level with the encoder's output at this level."""
        return self.block(self.upsample(self.project(coarse)) + skip)


@final
class RSUNet(nn.Module):
    """Residual symmetric U-Net.

    Source:
        Lee, Zung, Li, Jain, Seung 2017, Superhuman accuracy on the SNEMI3D connectomics challenge,
        arXiv:1706.00120, figure 2; with addition at the skips and linear upsampling.
    """

    def __init__(self, in_channels: int, out_channels: int, config: RSUNetConfig) -> None:
        super().__init__()
        filters, factors = config.filters, config.down_factors
        kernels: list[ZYX] = [config.kernel_2d if d < config.depth_2d else (3, 3, 3) for d in range(len(filters))]
        norm_act = partial(NormAct, norm=config.norm, activation=config.activation, num_groups=config.num_groups)
        self.total_factor = config.total_factor
        self.recomputes = False
        """Whether the finest level is computed again for the backward pass."""
        self.coarsen, self.refine = _working_grid(config.input_pooling)
        self.stem = ConvBlock(in_channels, filters[0], kernels[0], norm_act)
        self.downs = nn.ModuleList(
            nn.Sequential(Pool(factor), ConvBlock(filters[d], filters[d + 1], kernels[d + 1], norm_act))
            for d, factor in enumerate(factors)
        )
        self.ups = nn.ModuleList(
            UpBlock(filters[d + 1], filters[d], factors[d], kernels[d], norm_act) for d in reversed(range(len(factors)))
        )
        self.head = nn.Sequential(norm_act(filters[0]), Conv(filters[0], out_channels, (1, 1, 1), bias=True))
        self.deep_heads = nn.ModuleList(
            _deep_head(config, level, norm_act, out_channels) for level in range(1, config.deep_supervision + 1)
        )
        self.apply(_initialise)

    def forward(self, image: Tensor, deep: bool = False) -> Tensor | list[Tensor]:
        """Map an image (B, C, Z, Y, X) to logits (B, O, Z, Y, X) of the same extent.

        Args:
            image: The image.
            deep: Whether to return a list, of these logits and then those of the coarser levels that predict too.

        Raises:
            ValueError: If an extent is not divisible by the product of the pooling factors along its axis.
        """
        self._require_divisible(image)
        features = self._finest(self.stem, self.coarsen(image))
        skips: list[Tensor] = []
        coarser: list[Tensor] = []
        for down in self.downs:
            skips.append(features)
            features = down(features)
        for i, (up, skip) in enumerate(zip(self.ups, reversed(skips), strict=True), start=1):
            features = self._finest(up, features, skip) if i == len(self.ups) else up(features, skip)
            if deep and 0 < len(self.ups) - i <= len(self.deep_heads):
                coarser.insert(0, self.deep_heads[len(self.ups) - i - 1](features))
        logits: Tensor = self.refine(self.head(features))
        return [logits, *coarser] if deep else logits

    def _finest(self, part: nn.Module, *given: Tensor) -> Tensor:
        """Apply a part of the finest level."""
        return recompute(part, *given) if self.recomputes and torch.is_grad_enabled() else part(*given)

    def _require_divisible(self, image: Tensor) -> None:
        for axis, extent, factor in zip("zyx", image.shape[2:], self.total_factor, strict=True):
            if extent % factor:
                raise ValueError(f"the {axis} extent {extent} must be divisible by {factor}, the network's pooling")


def _deep_head(config: RSUNetConfig, level: int, norm_act: MakeNormAct, out_channels: int) -> nn.Module:
    """Return what predicts from a coarser level of the decoder, at the resolution of the image."""
    factors = (config.input_pooling, *config.down_factors[:level])
    z, y, x = (prod(factor[axis] for factor in factors) for axis in range(3))
    width = config.filters[level]
    return nn.Sequential(norm_act(width), Conv(width, out_channels, (1, 1, 1), bias=True), Upsample((z, y, x)))


def _working_grid(factor: ZYX) -> tuple[nn.Module, nn.Module]:
    """Return what brings an image to the grid that the network works on, and what brings logits back."""
    if factor == (1, 1, 1):
        return nn.Identity(), nn.Identity()
    return Pool(factor, "mean"), Upsample(factor)


def _initialise(module: nn.Module) -> None:
    """Kaiming normal weights by their outgoing connections; biases 0."""
    if isinstance(module, nn.Conv3d):
        nn.init.kaiming_normal_(module.weight, mode="fan_out")
        if module.bias is not None:
            nn.init.zeros_(module.bias)


def number_from_finest(weights: Mapping[str, Tensor], levels: int) -> dict[str, Tensor]:
    """Rename the decoder of a network with more or fewer levels so that its finest levels are those of this one.

    The decoder counts its levels from the coarsest. Levels that this network lacks keep a name that it has not.

    Args:
        weights: A network's state, by name.
        levels: How many levels the decoder has here.
    """
    numbers = {int(found[1]) for name in weights if (found := re.match(r"ups\.(\d+)\.", name))}
    more = max(numbers, default=levels - 1) + 1 - levels
    if more == 0:
        return dict(weights)
    return {re.sub(r"^ups\.(\d+)", lambda m: f"ups.{int(m[1]) - more}", name): w for name, w in weights.items()}
