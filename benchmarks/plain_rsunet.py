"""The same network written down plainly: NCDHW, 3-D operators, upsampling before the projection, nothing in place.

It is what the fast network is compared with, in speed (`benchmarks/network.py`) and in its results
(`tests/models/test_rsunet.py`).
"""

from __future__ import annotations

from torch import Tensor, nn

from connectomics.config.model import RSUNetConfig


def _conv(i: int, o: int, kernel: tuple[int, int, int], bias: bool = False) -> nn.Conv3d:
    z, y, x = kernel
    return nn.Conv3d(i, o, kernel, padding=(z // 2, y // 2, x // 2), bias=bias)


def _norm_act(channels: int) -> nn.Sequential:
    return nn.Sequential(nn.BatchNorm3d(channels), nn.ELU())


class _Block(nn.Module):
    def __init__(self, i: int, o: int, kernel: tuple[int, int, int]) -> None:
        super().__init__()
        self.pre = nn.Sequential(_norm_act(i), _conv(i, o, kernel))
        self.residual = nn.Sequential(_norm_act(o), _conv(o, o, kernel), _norm_act(o), _conv(o, o, kernel))
        self.post = nn.Sequential(_norm_act(o), _conv(o, o, kernel))

    def forward(self, x: Tensor) -> Tensor:
        x = self.pre(x)
        return self.post(x + self.residual(x))


class _Up(nn.Module):
    def __init__(self, i: int, o: int, factor: tuple[int, int, int], kernel: tuple[int, int, int]) -> None:
        super().__init__()
        scale = tuple(float(f) for f in factor)
        self.upsample = nn.Upsample(scale_factor=scale, mode="trilinear", align_corners=False)
        self.project = _conv(i, o, (1, 1, 1))
        self.block = _Block(o, o, kernel)

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        return self.block(self.project(self.upsample(x)) + skip)


class PlainRSUNet(nn.Module):
    """RSUNet with batch norm and ELU; its weights have the names of `connectomics.models.rsunet.RSUNet`."""

    def __init__(self, in_channels: int, out_channels: int, config: RSUNetConfig) -> None:
        super().__init__()
        f, factors = config.filters, config.down_factors
        kernels = [config.kernel_2d if d < config.depth_2d else (3, 3, 3) for d in range(len(f))]
        self.coarsen: nn.Module = nn.Identity()
        self.refine: nn.Module = nn.Identity()
        if config.input_pooling != (1, 1, 1):
            scale = tuple(float(n) for n in config.input_pooling)
            self.coarsen = nn.AvgPool3d(config.input_pooling)
            self.refine = nn.Upsample(scale_factor=scale, mode="trilinear", align_corners=False)
        self.stem = _Block(in_channels, f[0], kernels[0])
        self.downs = nn.ModuleList(
            nn.Sequential(nn.MaxPool3d(factor), _Block(f[d], f[d + 1], kernels[d + 1]))
            for d, factor in enumerate(factors)
        )
        self.ups = nn.ModuleList(_Up(f[d + 1], f[d], factors[d], kernels[d]) for d in reversed(range(len(factors))))
        self.head = nn.Sequential(_norm_act(f[0]), _conv(f[0], out_channels, (1, 1, 1), bias=True))

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, Z, Y, X) to logits."""
        x = self.stem(self.coarsen(x))
        skips = []
        for down in self.downs:
            skips.append(x)
            x = down(x)
        for up, skip in zip(self.ups, reversed(skips), strict=True):
            x = up(x, skip)
        return self.refine(self.head(x))
