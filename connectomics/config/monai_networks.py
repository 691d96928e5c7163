"""`model.monai_*`: the settings of networks that MONAI builds, by MONAI's names; lengths are along (z, y, x)."""

from dataclasses import dataclass, field
from math import prod
from typing import Literal

Triple = tuple[int, int, int]
Norm = Literal["batch", "instance", "group"]
Upsampling = Literal["deconv", "nontrainable", "pixelshuffle"]


def _product(factors: list[Triple]) -> Triple:
    z, y, x = (prod(factor[axis] for factor in factors) for axis in range(3))
    return z, y, x


@dataclass(kw_only=True, slots=True)
class MonaiBasicUNet3dConfig:
    """`model.monai_basic_unet3d`: a U-Net that halves z, y and x four times."""

    features: list[int] = field(default_factory=lambda: [32, 32, 64, 128, 256, 32])
    """Channels of the five levels, finest first, and of the last layer."""
    norm: Norm = "instance"
    """Normalisation behind each convolution; group has 8 groups."""
    act: str = "leakyrelu"
    """Activation, by MONAI's name."""
    dropout: float = 0.0
    """Share of values that are dropped in training."""
    upsample: Upsampling = "deconv"
    """How a level becomes finer: a transposed convolution, interpolation, or channels that become voxels."""

    @property
    def total_factor(self) -> Triple:
        """What extents must be divisible by."""
        return 16, 16, 16

    @property
    def values_per_voxel(self) -> float:
        """Values that the largest layer holds for each voxel: the skip beside what comes from below."""
        return float(2 * max(self.features[0], self.features[-1]))


@dataclass(kw_only=True, slots=True)
class MonaiUNetConfig:
    """`model.monai_unet`: a U-Net with residual units and strides of its own along each axis."""

    channels: list[int] = field(default_factory=lambda: [32, 64, 96, 128, 160])
    """Channels of each level, finest first."""
    strides: list[Triple] = field(default_factory=lambda: [(1, 2, 2)] * 4)
    """Strides between one level and the next; one triple fewer than `channels`."""
    kernel_size: Triple = (3, 3, 3)
    """Kernel on the way down; odd."""
    up_kernel_size: Triple = (3, 3, 3)
    """Kernel on the way up; odd."""
    num_res_units: int = 2
    """Convolutions in each residual unit; 0 has plain convolutions."""
    norm: Norm = "instance"
    """Normalisation behind each convolution; group has 8 groups."""
    act: str = "prelu"
    """Activation, by MONAI's name."""
    dropout: float = 0.0
    """Share of values that are dropped in training."""

    @property
    def total_factor(self) -> Triple:
        """What extents must be divisible by."""
        return _product(self.strides)

    @property
    def values_per_voxel(self) -> float:
        """Values that the largest layer holds for each voxel."""
        return 2 * self.channels[0] / prod(self.strides[0])


@dataclass(kw_only=True, slots=True)
class MonaiDynUNetConfig:
    """`model.monai_dynunet`: the U-Net of nnU-Net, with kernels and strides of its own at each level."""

    filters: list[int] = field(default_factory=lambda: [32, 64, 128, 256, 320])
    """Channels of each level, finest first; three or more."""
    kernel_size: list[Triple] = field(default_factory=lambda: [(1, 3, 3), *[(3, 3, 3)] * 4])
    """Kernel of each level; odd."""
    strides: list[Triple] = field(default_factory=lambda: [(1, 1, 1), *[(1, 2, 2)] * 4])
    """Strides in front of each level; the first one is [1, 1, 1]."""
    norm_name: Norm = "instance"
    """Normalisation behind each convolution; group has 8 groups."""
    act_name: str = "leakyrelu"
    """Activation, by MONAI's name."""
    dropout: float = 0.0
    """Share of values that are dropped in training."""
    res_block: bool = False
    """Whether blocks are residual."""

    @property
    def total_factor(self) -> Triple:
        """What extents must be divisible by."""
        return _product(self.strides)

    @property
    def values_per_voxel(self) -> float:
        """Values that the largest layer holds for each voxel: the skip beside what comes from below."""
        return 2.0 * self.filters[0]


@dataclass(kw_only=True, slots=True)
class MonaiSegResNetConfig:
    """`model.monai_segresnet`: residual blocks, of which the way down has more; it halves z, y and x."""

    init_filters: int = 16
    """Channels of the finest level, doubled with each coarser one; a multiple of 8, the groups of the norm."""
    blocks_down: list[int] = field(default_factory=lambda: [1, 2, 2, 4])
    """Residual blocks of each level on the way down."""
    blocks_up: list[int] = field(default_factory=lambda: [1, 1, 1])
    """Those on the way up; one fewer entry."""
    dropout_prob: float = 0.0
    """Share of channels that are dropped in training, before the first level."""
    upsample_mode: Upsampling = "nontrainable"
    """How a level becomes finer."""

    @property
    def total_factor(self) -> Triple:
        """What extents must be divisible by."""
        return (2 ** (len(self.blocks_down) - 1),) * 3

    @property
    def values_per_voxel(self) -> float:
        """Values that the largest layer holds for each voxel."""
        return float(self.init_filters)


@dataclass(kw_only=True, slots=True)
class MonaiSwinUNETRConfig:
    """`model.monai_swin_unetr`: a transformer of shifted windows, with a convolutional decoder; divides by 32."""

    feature_size: int = 24
    """Channels of the finest level, a multiple of 12."""
    depths: list[int] = field(default_factory=lambda: [2, 2, 2, 2])
    """Transformer layers of each of the four stages."""
    num_heads: list[int] = field(default_factory=lambda: [3, 6, 12, 24])
    """Attention heads of each stage; they divide `feature_size` times 1, 2, 4 and 8."""
    window_size: Triple = (7, 7, 7)
    """Extent of the windows within which voxels attend to one another, in tokens of 2 voxels at the first stage."""
    norm_name: Norm = "instance"
    """Normalisation in the decoder; group has 8 groups."""
    drop_rate: float = 0.0
    """Share of values that are dropped in training."""
    attn_drop_rate: float = 0.0
    """Share of attention that is dropped in training."""
    dropout_path_rate: float = 0.0
    """Share of residual paths that are dropped in training."""
    use_v2: bool = False
    """Whether a convolution precedes each stage."""

    @property
    def total_factor(self) -> Triple:
        """What extents must be divisible by."""
        return 32, 32, 32

    @property
    def values_per_voxel(self) -> float:
        """Values that the largest layer holds for each voxel: the skip beside what comes from below."""
        return 2.0 * self.feature_size


@dataclass(kw_only=True, slots=True)
class MonaiMedNeXtConfig:
    """`model.monai_mednext`: large depthwise kernels between widening convolutions; it halves z, y and x."""

    init_filters: int = 32
    """Channels of the finest level, doubled with each coarser one."""
    kernel_size: int = 3
    """Extent of the depthwise kernels along each axis; odd."""
    encoder_expansion_ratio: int = 2
    """How many times wider a block is inside, on the way down."""
    decoder_expansion_ratio: int = 2
    """The same on the way up."""
    bottleneck_expansion_ratio: int = 2
    """The same at the coarsest level."""
    blocks_down: list[int] = field(default_factory=lambda: [2, 2, 2, 2])
    """Blocks of each level on the way down."""
    blocks_bottleneck: int = 2
    """Blocks of the coarsest level."""
    blocks_up: list[int] = field(default_factory=lambda: [2, 2, 2, 2])
    """Blocks of each level on the way up; as many entries."""
    norm_type: Literal["group", "layer"] = "group"
    """Normalisation in each block."""
    use_residual_connection: bool = True
    """Whether levels are joined by residual connections too."""
    global_resp_norm: bool = False
    """Whether channels compete by their response in the whole patch."""

    @property
    def total_factor(self) -> Triple:
        """What extents must be divisible by."""
        return (2 ** len(self.blocks_down),) * 3

    @property
    def values_per_voxel(self) -> float:
        """Values that the largest layer holds for each voxel: the widened inside of a block."""
        return float(self.init_filters * max(self.encoder_expansion_ratio, self.decoder_expansion_ratio))
