"""`inference`: how a whole volume is predicted."""

from dataclasses import dataclass, field
from typing import Literal


@dataclass(kw_only=True, slots=True)
class WindowConfig:
    """`inference.window`: how a volume is cut into overlapping windows."""

    window_size: tuple[int, int, int] | None = None
    """Extent along (z, y, x), in voxels; null is the training patch, `data.dataloader.patch_size`."""
    sw_batch_size: int = 4
    """How many windows go through the network together."""
    overlap: float = 0.5
    """Share of a window that its neighbour covers too, in [0, 1)."""
    blending: str = "bump"
    """Weight profile across a window: a name in `inference.blend.PROFILES`."""
    padding_mode: Literal["reflect", "replicate", "constant"] = "reflect"
    """What a window that is larger than its volume sees beyond the border; "constant" is black."""
    whole_plane: bool | None = None
    """Let windows span the whole plane, as deep as `window_size`; null is what `inference.preset` says."""
    max_voxels: int = 32_000_000
    """Size of the largest window of `whole_plane`, in voxels; a larger plane is cut into as few windows as possible."""


@dataclass(kw_only=True, slots=True)
class ChannelActivationConfig:
    """One entry of `inference.model.channel_activations`."""

    channels: str = "0:1"
    """Channels of the network's output, as "start:stop"."""
    activation: str = "sigmoid"
    """A name in `inference.activations.ACTIVATIONS`."""


@dataclass(kw_only=True, slots=True)
class InferenceModelConfig:
    """`inference.model`: from the network's output to probabilities."""

    channel_activations: list[ChannelActivationConfig] = field(default_factory=lambda: [ChannelActivationConfig()])
    """Together the entries name every channel once."""


@dataclass(kw_only=True, slots=True)
class TestTimeAugmentationConfig:
    """`inference.test_time_augmentation`: predict mirrored views and join them."""

    enabled: bool = True
    """Whether more than one view is taken."""
    flip_axes: Literal["all"] | list[int] = "all"
    """Axes (0 is z) whose mirrorings, in all combinations, are the views; "all" is [0, 1, 2], 8 views."""
    rotation90_axes: list[int] = field(default_factory=list)
    """[1, 2] adds each view turned by 90, 180 and 270 degrees in the section plane; [] turns none."""
    views_per_window: int | None = None
    """How many of the views each window sees; neighbouring windows see different ones. Null is what `inference.preset`
    says."""
    ensemble_mode: Literal["mean", "min", "max"] = "mean"
    """How the probabilities of the views are combined."""


@dataclass(kw_only=True, slots=True)
class InferenceConfig:
    """`inference`: how a whole volume is predicted."""

    preset: Literal["exact", "fast"] = "exact"
    """"exact": every window sees all views. "fast": windows span the plane and see half of the views each."""
    use_ema: bool = True
    """Predict with the averaged weights; an error when the checkpoint has none."""
    precision: Literal["32-true", "bf16-mixed", "16-mixed"] = "bf16-mixed"
    """Arithmetic of the network."""
    compile: bool = False
    """Let `torch.compile` fuse the network. This takes a minute before the first window, and needs a C++ compiler on a
    CPU."""
    window: WindowConfig = field(default_factory=WindowConfig)
    model: InferenceModelConfig = field(default_factory=InferenceModelConfig)
    test_time_augmentation: TestTimeAugmentationConfig = field(default_factory=TestTimeAugmentationConfig)
    block_size: tuple[int, int] | None = None
    """Extent along (y, x), in voxels, of the blocks that a plane too large for memory is predicted in: multiples of
    250, the chunks of the saved file. Null takes whole planes where they fit into the memory, else what fits."""
    block_depth: int | None = None
    """Sections of a block, where several processes share a volume (`--shard`); null takes as many as give each process
    two blocks, and two windows at least."""
    save_results: bool = True
    """Write the prediction and the mask; false only scores."""
    save_dtype: Literal["float32", "float16", "uint8"] = "float32"
    """Type of the saved probabilities; uint8 is scaled by 255 and says so in its attribute `scale`."""
    save_backend: Literal["h5", "zarr", "ome-zarr"] = "h5"
    """Format of the saved files: HDF5; Zarr 3, a file for each chunk; or OME-Zarr 0.5, sharded, with smaller copies for
    viewers."""
