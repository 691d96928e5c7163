"""Volumes to cut patches from: some know their own coordinates, some lie in files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest

from connectomics.config.schema import Config
from connectomics.data.datasets import PatchCutter
from connectomics.data.targets import TARGETS
from connectomics.data.volume import LearningVolume
from connectomics.geometry import ZYX
from connectomics.volumes.intensity import IntensityRange
from connectomics.volumes.source import ArraySource

SPACING = (40.0, 4.0, 4.0)

AS_STORED = IntensityRange(0.0, 1.0, clips=False)


def coordinates(shape: ZYX, axis: int) -> LearningVolume:
    """A volume whose three channels are z, y and x of each voxel, and whose codes are the position along `axis`."""
    image = np.stack(np.indices(shape)).astype(np.float32)
    codes = np.indices(shape)[axis].astype(np.uint8)
    return LearningVolume("coordinates", ArraySource.of(image), ArraySource.of(codes), AS_STORED, 0.5)


def random_volume(shape: ZYX, seed: int = 0, share: float = 0.02) -> tuple[np.ndarray, np.ndarray]:
    """Grey noise, and boxes of foreground with ids."""
    rng = np.random.default_rng(seed)
    image = rng.integers(0, 256, shape, dtype=np.uint8)
    label = np.zeros(shape, np.uint64)
    while (label > 0).mean() < share:
        z, y, x = (int(rng.integers(n)) for n in shape)
        label[z : z + 2, y : y + 4, x : x + 6] = rng.integers(1, 100)
    return image, label


def in_memory(image: np.ndarray, codes: np.ndarray) -> LearningVolume:
    return LearningVolume("memory", ArraySource.of(image), ArraySource.of(codes), IntensityRange(0, 255), 0.5)


def cutter_of(*volumes: LearningVolume) -> PatchCutter:
    return PatchCutter(volumes, TARGETS["cleft"](), "reflect")


def write_h5(path: Path, voxels: np.ndarray) -> str:
    with h5py.File(path, "w") as file:
        file.create_dataset("main", data=voxels).attrs["resolution"] = SPACING
    return str(path)


@pytest.fixture
def make_config(tmp_path: Path) -> Callable[..., Config]:
    """A function that writes volumes of some shapes, and returns settings that train on them."""

    def make(*shapes: ZYX, val: bool = False) -> Config:
        shapes = shapes or ((10, 40, 50),) * (1 + val)
        config = Config()
        config.system.num_workers = 0
        config.data.dataloader.patch_size = (4, 16, 16)
        config.data.dataloader.batch_size = 2
        config.optimization.n_steps_per_epoch = 5
        for i, shape in enumerate(shapes):
            image, label = random_volume(shape, seed=i)
            stage = config.data.val if val and i == len(shapes) - 1 else config.data.train
            stage.image.append(write_h5(tmp_path / f"im_{i}.h5", image))
            stage.label.append(write_h5(tmp_path / f"syn_{i}.h5", label))
        return config

    return make


def enable_all(config: Config) -> None:
    """Enable every augmentation, at sizes that suit small patches."""
    augmentation = config.data.augmentation
    for section in (
        augmentation.flip, augmentation.rotate, augmentation.elastic, augmentation.misalignment,
        augmentation.missing_section, augmentation.missing_parts, augmentation.motion_blur, augmentation.zoom,
        augmentation.defocus, augmentation.section_brightness, augmentation.cut_noise,
        augmentation.cut_blur, augmentation.intensity,
    ):  # fmt: skip
        section.enabled = True
    augmentation.misalignment.displacement = 4
    augmentation.misalignment.rotate_ratio = 0.5
