"""Patches of training and validation, as tensors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NotRequired, TypedDict

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from connectomics.data.augment import Augmentation
from connectomics.data.augment.geometric import Geometry
from connectomics.data.patch import Patch
from connectomics.data.resample import cut
from connectomics.data.sampling import PatchSampler
from connectomics.data.targets import NOT_ANNOTATED, Target
from connectomics.data.volume import LearningVolume
from connectomics.geometry import ZYX
from connectomics.volumes.padding import PadMode


class Sample(TypedDict):
    """One patch, or a batch of them."""

    image: Tensor
    """float32, (C, Z, Y, X), in [0, 1]; a batch has an axis in front."""
    label: Tensor
    """float32, (C, Z, Y, X), 0 or 1."""
    valid: Tensor
    """bool, (1, Z, Y, X)."""
    spacing_nm: NotRequired[Tensor]
    """Voxel size along (z, y, x), float32, (3,); of validation patches."""


@dataclass(frozen=True, slots=True)
class PatchCutter:
    """Cuts patches out of volumes."""

    volumes: Sequence[LearningVolume]
    target: Target
    pad_mode: PadMode

    def cut(self, volume: int, start: ZYX, geometry: Geometry) -> Patch:
        """Return the patch of one volume at a position (z, y, x), seen through a geometry."""
        source = self.volumes[volume]
        raw, codes = cut(source, start, geometry, self.pad_mode)
        valid = (codes != NOT_ANNOTATED)[np.newaxis]
        return Patch(source.scale(raw), self.target.channels(codes), valid, source.mean)


class TrainingPatches(Dataset[Sample]):
    """Random patches, augmented; the one with a given number is the same in every process and every run."""

    def __init__(
        self, cutter: PatchCutter, sampler: PatchSampler, augmentation: Augmentation, shape: ZYX, seed: int
    ) -> None:
        self.cutter, self.sampler, self.augmentation = cutter, sampler, augmentation
        self.shape, self.seed = shape, seed

    def origin(self, number: int) -> tuple[str, ZYX]:
        """Return the file that the patch with a number is cut from, and its first voxel (z, y, x) there."""
        volume, start = self.sampler.draw(np.random.default_rng((self.seed, number)))
        return self.cutter.volumes[volume].image.info.location, start

    def draw(self, number: int) -> Patch:
        """Return the patch with a number, counted from the start of the training."""
        rng = np.random.default_rng((self.seed, number))
        volume, start = self.sampler.draw(rng)
        geometry = self.augmentation.draw_geometry(self.shape, rng)
        return self.augmentation.change_image(self.cutter.cut(volume, start, geometry), rng)

    def __getitem__(self, number: int) -> Sample:
        return as_sample(self.draw(number))


@dataclass(frozen=True)
class ValidationPatches(Dataset[Sample]):
    """The windows that cover the validation volumes, in order, as they are."""

    cutter: PatchCutter
    windows: Sequence[tuple[int, ZYX]]
    """Number of the volume, and position (z, y, x), of each."""
    shape: ZYX

    def __len__(self) -> int:
        return len(self.windows)

    def __getitem__(self, number: int) -> Sample:
        volume, start = self.windows[number]
        sample = as_sample(self.cutter.cut(volume, start, Geometry(self.shape)))
        spacing = self.cutter.volumes[volume].image.info.spacing_nm
        assert spacing is not None  # a volume without one is not opened
        return {**sample, "spacing_nm": torch.tensor(spacing)}


def as_sample(patch: Patch) -> Sample:
    """Return a patch as tensors."""
    return {
        "image": torch.from_numpy(patch.image),
        "label": torch.from_numpy(patch.label),
        "valid": torch.from_numpy(patch.valid),
    }
