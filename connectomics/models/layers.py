"""Layers that are fast in both memory formats: a layer of depth one in z works on single sections."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import gcd
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from connectomics.geometry import ZYX

NORMS: Mapping[str, Callable[[int, int], nn.Module]] = {
    "batch": lambda channels, groups: nn.BatchNorm3d(channels),
    "group": lambda channels, groups: nn.GroupNorm(gcd(groups, channels), channels),
    "instance": lambda channels, groups: nn.InstanceNorm3d(channels, affine=True),
    "none": lambda channels, groups: nn.Identity(),
}
"""`model.rsunet.norm` to the layer, built from channels and groups (a raw image has too few channels to group)."""

ACTIVATIONS: Mapping[str, Callable[[bool], nn.Module]] = {
    "elu": lambda in_place: nn.ELU(inplace=in_place),
    "relu": lambda in_place: nn.ReLU(inplace=in_place),
    "leakyrelu": lambda in_place: nn.LeakyReLU(inplace=in_place),
    "prelu": lambda in_place: nn.PReLU(),
}
"""`model.rsunet.activation` to the layer; the argument says whether it may overwrite its input."""


def as_sections(volume: Tensor) -> Tensor | None:
    """Return (B*Z, C, Y, X) sharing memory with a channels-last (B, C, Z, Y, X); None for another memory format."""
    if not volume.is_contiguous(memory_format=torch.channels_last_3d):
        return None
    b, c, z, y, x = volume.shape
    return volume.permute(0, 2, 1, 3, 4).reshape(b * z, c, y, x)


def as_volume(sections: Tensor, depth: int) -> Tensor:
    """Return (B, C, Z, Y, X) sharing memory with channels-last sections (B*Z, C, Y, X)."""
    bz, c, y, x = sections.shape
    sections = sections.contiguous(memory_format=torch.channels_last)
    return sections.view(bz // depth, depth, c, y, x).permute(0, 2, 1, 3, 4)


class Conv(nn.Conv3d):
    """A convolution that keeps the extent; one of depth 1 runs in 2-D over all sections when memory allows it."""

    def __init__(self, in_channels: int, out_channels: int, kernel: ZYX, bias: bool = False) -> None:
        padding = (kernel[0] // 2, kernel[1] // 2, kernel[2] // 2)
        super().__init__(in_channels, out_channels, kernel, padding=padding, bias=bias)

    def forward(self, input: Tensor) -> Tensor:
        """Convolve (B, I, Z, Y, X) to (B, O, Z, Y, X)."""
        sections = as_sections(input) if self.kernel_size[0] == 1 else None
        if sections is None:
            return super().forward(input)
        weight = self.weight.squeeze(2)  # (O, I, Y, X)
        return as_volume(F.conv2d(sections, weight, self.bias, padding=self.padding[1:]), input.shape[2])


class Pool(nn.Module):
    """Maximum, or mean, over blocks of `factor` voxels."""

    def __init__(self, factor: ZYX, kind: Literal["max", "mean"] = "max") -> None:
        super().__init__()
        self.factor, self.kind = factor, kind

    def extra_repr(self) -> str:
        """Return factor and kind, for printing."""
        return f"factor={self.factor}, {self.kind}"

    def forward(self, volume: Tensor) -> Tensor:
        """Pool (B, C, Z, Y, X); a remainder at the far border is dropped."""
        sections = as_sections(volume) if self.factor[0] == 1 else None
        if sections is None:
            pool = F.max_pool3d if self.kind == "max" else F.avg_pool3d
            return pool(volume, self.factor)
        pool = F.max_pool2d if self.kind == "max" else F.avg_pool2d
        return as_volume(pool(sections, self.factor[1:]), volume.shape[2])


class Upsample(nn.Module):
    """Linear interpolation by whole factors; a constant stays that constant up to the corners."""

    def __init__(self, factor: ZYX) -> None:
        super().__init__()
        self.factor = factor

    def extra_repr(self) -> str:
        """Return the factor, for printing."""
        return f"factor={self.factor}"

    def forward(self, volume: Tensor) -> Tensor:
        """Upsample (B, C, Z, Y, X) by `factor` along (z, y, x)."""
        sections = as_sections(volume) if self.factor[0] == 1 else None
        scale = [float(f) for f in self.factor]
        if sections is None:
            return F.interpolate(volume, scale_factor=scale, mode="trilinear", align_corners=False)
        finer = F.interpolate(sections, scale_factor=scale[1:], mode="bilinear", align_corners=False)
        return as_volume(finer, volume.shape[2])


class NormAct(nn.Sequential):
    """A normalisation, then an activation.

    A norm makes a tensor of its own, which it never needs again, and the activation works in place on that. Without a
    norm the activation is given what others read too, a residual's input or the caller's image, and leaves it alone.
    """

    def __init__(self, channels: int, norm: str, activation: str, num_groups: int) -> None:
        made = NORMS[norm](channels, num_groups)
        super().__init__(made, ACTIVATIONS[activation](not isinstance(made, nn.Identity)))
