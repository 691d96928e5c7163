"""From settings to everything that a prediction needs besides the volume and the network."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Literal

from connectomics.config.data import DataConfig
from connectomics.config.inference import InferenceConfig
from connectomics.config.model import ModelConfig
from connectomics.errors import ConfigError
from connectomics.geometry import ZYX
from connectomics.inference.activations import ChannelActivations, build_activations
from connectomics.inference.blend import PROFILES, Profile
from connectomics.inference.planes import seam_share, widen_window
from connectomics.inference.views import View, all_views, share_views
from connectomics.inference.window_grid import WindowGrid
from connectomics.lookup import pick
from connectomics.volumes.padding import PaddedSource, PadMode
from connectomics.volumes.source import VolumeSource

LARGEST_TENSOR = 2**31 - 1
"""Values of the largest tensor that kernels with 32-bit indices can count; beyond it they fail, or are slow."""


@dataclass(frozen=True, slots=True)
class InferencePlan:
    """How every volume of a run is predicted."""

    window: ZYX
    overlap: float
    profile: Profile
    whole_plane: bool
    """Whether windows are widened until they span the section plane."""
    max_voxels: int
    """Largest size of a widened window, in voxels."""
    factor: ZYX
    """What an extent must be divisible by for the network, along (z, y, x)."""
    pad: ZYX
    """Voxels added on either side of a volume."""
    pad_mode: PadMode
    """How the added voxels are filled."""
    beyond: PadMode
    """What a window that is larger than the padded volume shows beyond it."""
    block: tuple[int, int] | None
    """Extent along (y, x) of the blocks that a plane too large for memory is predicted in."""
    depth: int | None
    """Sections of a block that one of several processes predicts; None is chosen for the volume."""
    batch: int
    """How many views of windows go through the network together."""
    values_per_voxel: float
    """Values that the network's largest tensor holds for each voxel of a window."""
    views: tuple[tuple[View, ...], ...]
    """Groups of views; each window sees one of them."""
    ensemble: Literal["mean", "min", "max"]
    activations: ChannelActivations
    channels: int
    """Number of channels of the prediction."""

    def grid(self, shape: ZYX) -> WindowGrid:
        """Return the windows of a volume of `shape`."""
        window, overlaps = self.window, (self.overlap, self.overlap, self.overlap)
        if self.whole_plane:
            plane = shape[1] + 2 * self.pad[1], shape[2] + 2 * self.pad[2]
            window = widen_window(self.window, plane, self.factor[1:], self.max_voxels)
            y, x = (seam_share(old, new) for old, new in zip(self.window[1:], window[1:], strict=True))
            overlaps = (self.overlap, y, x)
        return WindowGrid.cover(shape, self.pad, window, overlaps, self.profile)

    def batch_of(self, window: ZYX) -> int:
        """Return how many views of windows go together: as many as are asked for, and as tensors can be counted."""
        return max(1, min(self.batch, int(LARGEST_TENSOR / (prod(window) * self.values_per_voxel))))

    def views_at(self, z: int, y: int, x: int) -> tuple[View, ...]:
        """Return the views that the window at a place of the grid sees; the windows beside it see another group."""
        return self.views[(z + y + x) % len(self.views)]

    def padded(self, image: VolumeSource, black: float) -> PaddedSource:
        """Return the volume with its padding, which is the grey value `black` in mode "constant"."""
        return PaddedSource(image, self.pad, self.pad_mode, black)


def plan_inference(inference: InferenceConfig, data: DataConfig, network: ModelConfig) -> InferencePlan:
    """Build the plan that `inference`, `data.data_transform` and `model` describe.

    Raises:
        ConfigError: If a name is unknown, the channels do not fit `model.out_channels`, the views cannot be shared,
            or blocks are asked for together with whole planes.
    """
    border, window, fast = data.data_transform, inference.window, inference.preset == "fast"
    whole_plane = fast if window.whole_plane is None else window.whole_plane
    if whole_plane and inference.block_size is not None:
        raise ConfigError(
            "inference.block_size cuts planes that inference.window.whole_plane, or inference.preset=fast, would take "
            "whole; set it to null and lower inference.window.max_voxels, or set inference.window.whole_plane=false"
        )
    return InferencePlan(
        window=window.window_size or data.dataloader.patch_size,
        overlap=window.overlap,
        profile=pick(PROFILES, window.blending, "inference.window.blending"),
        whole_plane=whole_plane,
        max_voxels=window.max_voxels,
        factor=network.total_factor,
        pad=border.pad_size,
        pad_mode=border.pad_mode,
        beyond=window.padding_mode,
        block=inference.block_size,
        depth=inference.block_depth,
        batch=window.sw_batch_size,
        values_per_voxel=network.values_per_voxel,
        views=_view_groups(inference),
        ensemble=inference.test_time_augmentation.ensemble_mode,
        activations=build_activations(inference.model.channel_activations, network.out_channels),
        channels=network.out_channels,
    )


def _view_groups(config: InferenceConfig) -> tuple[tuple[View, ...], ...]:
    """Return the views of the settings, in the groups that the windows take turns in."""
    augmentation = config.test_time_augmentation
    if not augmentation.enabled:
        return ((View(),),)
    views = all_views(augmentation.flip_axes, quarter_turns=bool(augmentation.rotation90_axes))
    share = max(1, len(views) // 2) if config.preset == "fast" else len(views)
    return share_views(views, augmentation.views_per_window or share)
