"""Networks that MONAI builds; it takes seconds to import, and is imported only when one of them is built."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any

from torch import nn

from connectomics.config.model import ModelConfig
from connectomics.config.monai_networks import Norm
from connectomics.errors import ConfigError

NORMS: Mapping[Norm, Any] = {
    "batch": "batch",
    "instance": ("instance", {"affine": True}),
    "group": ("group", {"num_groups": 8}),
}
"""Norms as MONAI writes them."""


def build_basic_unet3d(config: ModelConfig) -> nn.Module:
    """Build MONAI's `BasicUNet`."""
    own = config.monai_basic_unet3d
    return _build(
        "BasicUNet", "monai_basic_unet3d", config, features=own.features, norm=NORMS[own.norm], act=own.act,
        dropout=own.dropout, upsample=own.upsample, spatial_dims=3,
    )  # fmt: skip


def build_unet(config: ModelConfig) -> nn.Module:
    """Build MONAI's `UNet`."""
    own = config.monai_unet
    return _build(
        "UNet", "monai_unet", config, channels=own.channels, strides=own.strides, kernel_size=own.kernel_size,
        up_kernel_size=own.up_kernel_size, num_res_units=own.num_res_units, norm=NORMS[own.norm], act=own.act,
        dropout=own.dropout, spatial_dims=3,
    )  # fmt: skip


def build_dynunet(config: ModelConfig) -> nn.Module:
    """Build MONAI's `DynUNet`."""
    own = config.monai_dynunet
    return _build(
        "DynUNet", "monai_dynunet", config, filters=own.filters, kernel_size=own.kernel_size, strides=own.strides,
        upsample_kernel_size=own.strides[1:], norm_name=NORMS[own.norm_name], act_name=own.act_name,
        dropout=own.dropout or None, res_block=own.res_block, spatial_dims=3,
    )  # fmt: skip


def build_segresnet(config: ModelConfig) -> nn.Module:
    """Build MONAI's `SegResNet`."""
    own = config.monai_segresnet
    return _build(
        "SegResNet", "monai_segresnet", config, init_filters=own.init_filters, blocks_down=own.blocks_down,
        blocks_up=own.blocks_up, dropout_prob=own.dropout_prob or None, upsample_mode=own.upsample_mode,
        spatial_dims=3,
    )  # fmt: skip


def build_swin_unetr(config: ModelConfig) -> nn.Module:
    """Build MONAI's `SwinUNETR`."""
    own = config.monai_swin_unetr
    return _build(
        "SwinUNETR", "monai_swin_unetr", config, feature_size=own.feature_size, depths=own.depths,
        num_heads=own.num_heads, window_size=own.window_size, norm_name=NORMS[own.norm_name], drop_rate=own.drop_rate,
        attn_drop_rate=own.attn_drop_rate, dropout_path_rate=own.dropout_path_rate, use_v2=own.use_v2, spatial_dims=3,
    )  # fmt: skip


def build_mednext(config: ModelConfig) -> nn.Module:
    """Build MONAI's `MedNeXt`."""
    own = config.monai_mednext
    return _build(
        "MedNeXt", "monai_mednext", config, init_filters=own.init_filters, kernel_size=own.kernel_size,
        encoder_expansion_ratio=own.encoder_expansion_ratio, decoder_expansion_ratio=own.decoder_expansion_ratio,
        bottleneck_expansion_ratio=own.bottleneck_expansion_ratio, blocks_down=own.blocks_down,
        blocks_bottleneck=own.blocks_bottleneck, blocks_up=own.blocks_up, norm_type=own.norm_type,
        use_residual_connection=own.use_residual_connection, global_resp_norm=own.global_resp_norm, spatial_dims=3,
    )  # fmt: skip


def _build(name: str, section: str, config: ModelConfig, **arguments: Any) -> nn.Module:
    """Build a network of MONAI.

    Raises:
        ConfigError: If MONAI is not installed, or refuses the settings.
    """
    try:
        make = vars(import_module("monai.networks.nets"))[name]
    except (ImportError, LookupError) as error:
        raise ConfigError(
            f"model.arch.type is {section!r}, which needs MONAI with its {name} ({error}); install monai and einops"
        ) from error
    try:
        built: nn.Module = make(in_channels=config.in_channels, out_channels=config.out_channels, **arguments)
    except (ValueError, TypeError, AssertionError, LookupError, RuntimeError) as error:
        raise ConfigError(f"model.{section} does not fit MONAI's {name}: {error}") from error
    return built
