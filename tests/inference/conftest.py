from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import pytest
import torch

from connectomics.config import Config
from connectomics.config.inference import ChannelActivationConfig
from connectomics.geometry import Box
from connectomics.inference import Forward, InferencePlan, Lane, plan_inference, predict_volume
from connectomics.volumes.intensity import IntensityRange
from connectomics.volumes.source import ArraySource

CPU = torch.device("cpu")
AS_IT_IS = IntensityRange(0.0, 1.0, clips=False)

MakePlan = Callable[..., InferencePlan]


def make_plan(
    window=(4, 16, 16), overlap=0.5, blending="bump", batch=3, channels=1, activation="none",
    pad=(0, 0, 0), pad_mode="reflect", beyond="reflect", block=None, flip_axes=(), ensemble="mean", turns=False,
    preset="exact", whole_plane=None, max_voxels=10**9, views_per_window=None,
) -> InferencePlan:  # fmt: skip
    config = Config()
    config.model.out_channels = channels
    config.data.data_transform.pad_size, config.data.data_transform.pad_mode = pad, pad_mode
    inference = config.inference
    inference.window.window_size, inference.window.overlap, inference.window.sw_batch_size = window, overlap, batch
    inference.block_size = block
    inference.window.blending, inference.window.padding_mode = blending, beyond
    inference.model.channel_activations = [ChannelActivationConfig(channels=f"0:{channels}", activation=activation)]
    inference.test_time_augmentation.flip_axes = list(flip_axes)
    inference.test_time_augmentation.ensemble_mode = ensemble
    inference.test_time_augmentation.rotation90_axes = [1, 2] if turns else []
    inference.test_time_augmentation.views_per_window = views_per_window
    inference.preset, inference.window.whole_plane, inference.window.max_voxels = preset, whole_plane, max_voxels
    return plan_inference(config.inference, config.data, config.model)


def predict(voxels, forward: Forward, plan: InferencePlan, intensity=AS_IT_IS, lanes=1, first_section=0) -> np.ndarray:
    """Return the prediction of a volume (C, Z, Y, X) from `first_section` on, and see that it came in order."""
    parts, at = [], first_section
    image = ArraySource.of(voxels)
    region = Box((first_section, 0, 0), image.shape)
    for sections in predict_volume(
        image, intensity, plan, [Lane(forward, CPU) for _ in range(lanes)], regions=[region]
    ):
        assert sections.z == at
        parts.append(sections.voxels.copy())
        at += sections.voxels.shape[1]
    assert at == voxels.shape[-3]
    return np.concatenate(parts, axis=1)


def lopsided_network(in_channels: int, out_channels: int) -> Forward:
    """Return a network that no symmetry maps to itself, and that sees where a window ends."""
    kernel = torch.randn((out_channels, in_channels, 3, 3, 3), generator=torch.Generator().manual_seed(7))
    return lambda windows: torch.nn.functional.conv3d(windows, kernel, padding=1)


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> Iterator[None]:
    """Keep tiny convolutions in one thread; more would only wait for each other."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(5)
