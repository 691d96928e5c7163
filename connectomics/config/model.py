"""`model`: the network and its loss."""

from dataclasses import dataclass, field
from itertools import accumulate, islice
from math import prod
from typing import Any, Literal

from connectomics.config.monai_networks import (
    MonaiBasicUNet3dConfig,
    MonaiDynUNetConfig,
    MonaiMedNeXtConfig,
    MonaiSegResNetConfig,
    MonaiSwinUNETRConfig,
    MonaiUNetConfig,
)


@dataclass(kw_only=True, slots=True)
class ArchConfig:
    """`model.arch`: which network."""

    type: str = "rsunet"
    """A name in `models.MODELS`; the section of that name has its settings."""


@dataclass(kw_only=True, slots=True)
class RSUNetConfig:
    """`model.rsunet`: the residual symmetric U-Net (Lee et al. 2017)."""

    input_pooling: tuple[int, int, int] = (1, 1, 1)
    """The network works on means over blocks of this many voxels along (z, y, x), and its logits are interpolated back:
    (1, 2, 2) costs a quarter, sees twice as far, and blurs what is finer than two pixels."""
    filters: list[int] = field(default_factory=lambda: [32, 64, 96, 128, 160])
    """Channels of each level, finest first; their number is the depth of the network."""
    down_factors: list[tuple[int, int, int]] = field(default_factory=lambda: [(1, 2, 2)] * 4)
    """Pooling along (z, y, x) between one level and the next; one triple fewer than `filters`."""
    depth_2d: int = 1
    """How many of the finest levels use `kernel_2d`; the others use 3 x 3 x 3."""
    kernel_2d: tuple[int, int, int] = (1, 3, 3)
    """Kernel of the `depth_2d` finest levels along (z, y, x), in voxels; odd."""
    norm: Literal["batch", "group", "instance", "none"] = "batch"
    """Normalisation before each activation."""
    activation: Literal["elu", "relu", "leakyrelu", "prelu"] = "elu"
    """Non-linearity after each normalisation."""
    num_groups: int = 8
    """Number of groups of `norm: group`; each of `filters` must be a multiple of it."""
    deep_supervision: int = 0
    """How many coarser levels of the decoder predict too while the network trains, the finest of them first. The loss
    of each counts half of the next finer one's, and all together count as one. 0 is none."""

    @property
    def total_factor(self) -> tuple[int, int, int]:
        """By how much the deepest level is coarser than the image, along (z, y, x); divides every extent."""
        z, y, x = (prod(factor[axis] for factor in (self.input_pooling, *self.down_factors)) for axis in range(3))
        return z, y, x

    @property
    def values_per_voxel(self) -> float:
        """Values that the largest layer holds for each voxel of the image."""
        factors = accumulate((self.input_pooling, *self.down_factors), lambda share, f: share / prod(f), initial=1.0)
        return max(width * share for width, share in zip(self.filters, islice(factors, 1, None), strict=True))


@dataclass(kw_only=True, slots=True)
class WeightsConfig:
    """`model.weights`: the weights that a new training begins with; optimizer and schedule begin anew."""

    file: str | None = None
    """A checkpoint, the folder of a run or of an exported network, a .safetensors file, or a state dict that
    `torch.save` wrote; null begins with random weights. Of a checkpoint the averaged weights are taken if it has them.
    A training that goes on (`--checkpoint`) does not read it."""
    prefix: str = ""
    """What stands before the network's own names in a file of other origin, such as "module."; only such weights
    count."""
    strict: bool = True
    """Refuse a file that lacks a weight of the network, has one too many, or one of another shape or meaning. False
    takes what fits, lists the rest, and leaves it random."""
    freeze: list[str] = field(default_factory=list)
    """Parts of the network that stay as they are, running statistics of batch norm included, by the beginning of their
    names: `[stem, downs]` is the encoder of the rsunet."""


@dataclass(kw_only=True, slots=True)
class LossTermConfig:
    """One entry of `model.loss.losses`; the training loss is the weighted sum of all entries."""

    function: str
    """A name in `losses.LOSSES`."""
    weight: float = 1.0
    """Factor of this term in the sum."""
    kwargs: dict[str, Any] = field(default_factory=dict)
    """Arguments of the loss, by name."""
    pred_slice: str | None = None
    """Channels of the network's output that the term sees, as "start:stop"; null is all of them."""
    target_slice: str | None = None
    """Channels of the target that the term sees, as "start:stop"; null is all of them."""


@dataclass(kw_only=True, slots=True)
class LossConfig:
    """`model.loss`: what training minimises."""

    losses: list[LossTermConfig] = field(
        default_factory=lambda: [
            LossTermConfig(function="WeightedBCEWithLogitsLoss"),
            LossTermConfig(function="DiceLoss", kwargs={"sigmoid": True, "smooth_nr": 1e-5, "smooth_dr": 1e-5}),
        ]
    )
    """The terms of the sum."""


NetworkConfig = (
    RSUNetConfig
    | MonaiBasicUNet3dConfig
    | MonaiUNetConfig
    | MonaiDynUNetConfig
    | MonaiSegResNetConfig
    | MonaiSwinUNETRConfig
    | MonaiMedNeXtConfig
)
"""The section of a network."""


@dataclass(kw_only=True, slots=True)
class ModelConfig:
    """`model`: the network, its memory layout and its loss."""

    arch: ArchConfig = field(default_factory=ArchConfig)
    in_channels: int = 1
    """Number of channels of the image."""
    out_channels: int = 1
    """Channels of the prediction; the target must have the same number, unless slices say otherwise."""
    memory_format: Literal["auto", "channels_last_3d", "contiguous"] = "auto"
    """Order of a tensor in memory: "auto" is channels_last_3d, but contiguous on a GPU with instance or group norm,
    whose kernels are slow in the other order. `benchmarks/README.md` has what each costs on a CPU."""
    sync_batchnorm: bool = False
    """Whether batch norm takes the statistics of the batches of all GPUs together, not those of each GPU by itself."""
    rsunet: RSUNetConfig = field(default_factory=RSUNetConfig)
    monai_basic_unet3d: MonaiBasicUNet3dConfig = field(default_factory=MonaiBasicUNet3dConfig)
    monai_unet: MonaiUNetConfig = field(default_factory=MonaiUNetConfig)
    monai_dynunet: MonaiDynUNetConfig = field(default_factory=MonaiDynUNetConfig)
    monai_segresnet: MonaiSegResNetConfig = field(default_factory=MonaiSegResNetConfig)
    monai_swin_unetr: MonaiSwinUNETRConfig = field(default_factory=MonaiSwinUNETRConfig)
    monai_mednext: MonaiMedNeXtConfig = field(default_factory=MonaiMedNeXtConfig)
    weights: WeightsConfig = field(default_factory=WeightsConfig)
    loss: LossConfig = field(default_factory=LossConfig)

    @property
    def total_factor(self) -> tuple[int, int, int]:
        """What extents must be divisible by for the networks whose settings are here; 1 for those from elsewhere."""
        own = self._own
        return (1, 1, 1) if own is None else own.total_factor

    @property
    def values_per_voxel(self) -> float:
        """Values that the largest tensor holds for each voxel of the image, as far as the settings here tell."""
        ends = float(max(self.in_channels, self.out_channels))
        own = self._own
        return ends if own is None else max(ends, own.values_per_voxel)

    @property
    def _own(self) -> NetworkConfig | None:
        """The section of the network; None for one from elsewhere."""
        sections: dict[str, NetworkConfig] = {
            "rsunet": self.rsunet,
            "monai_basic_unet3d": self.monai_basic_unet3d,
            "monai_unet": self.monai_unet,
            "monai_dynunet": self.monai_dynunet,
            "monai_segresnet": self.monai_segresnet,
            "monai_swin_unetr": self.monai_swin_unetr,
            "monai_mednext": self.monai_mednext,
        }
        return sections.get(self.arch.type)
