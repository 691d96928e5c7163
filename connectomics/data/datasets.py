"""Patches of training and validation, as tensors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NotRequired, TypedDict

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from connectomics.data.augment import Augmentation
from connectomics.data.augment.geometric import Geometry
from connectomics.data.distance_target import BorderDistance
from connectomics.data.patch import Patch
from connectomics.data.resample import cut, cut_codes
from connectomics.data.sampling import PatchSampler
from connectomics.data.targets import NOT_ANNOTATED, Target
from connectomics.data.volume import LearningVolume
from connectomics.data.windows import count_of_rank, share_of_rank
from connectomics.geometry import ZYX, Box
from connectomics.volumes.padding import PadMode


class Sample(TypedDict):
    """One patch, or a batch of them."""

    image: Tensor
    """Grey values in [0, 1], float32, (C, Z, Y, X); a batch has one more axis in front."""
    label: Tensor
    """Channels of the target, float32, 0 or 1, (C, Z, Y, X)."""
    valid: Tensor
    """Voxels that the loss looks at, bool, (1, Z, Y, X)."""
    spacing_nm: NotRequired[Tensor]
    """Voxel size along (z, y, x), float32, (3,); of validation patches."""
    number: NotRequired[Tensor]
    """Which of all validation windows it is, int64, (); -1 for one that another process has and that does not count."""


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
        if self.target.distance is not None:
            label, valid = self._distances(self.target.distance, source, start, geometry)
        else:
            label, valid = self.target.channels(codes), (codes != NOT_ANNOTATED)[np.newaxis]
        return Patch(source.scale(raw), label, valid, source.mean)

    def _distances(
        self, distance: BorderDistance, source: LearningVolume, start: ZYX, geometry: Geometry
    ) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """Return the target of a patch, (C, Z, Y, X), and where it is known, (1, Z, Y, X).

        Distances are measured in the patch as it is seen, and as far around it as a border can matter.
        """
        spacing = source.image.info.spacing_nm
        assert spacing is not None  # a volume without one is not opened
        margin = distance.margin(spacing)
        z, y, x = (at - around for at, around in zip(start, margin, strict=True))
        codes = cut_codes(source, (z, y, x), geometry.grown(margin), self.pad_mode)
        within = Box.at(margin, geometry.shape).slices
        annotated = codes != NOT_ANNOTATED
        measured = [distance.measure(inside > 0, annotated, spacing) for inside in self.target.channels(codes)]
        known = np.logical_and.reduce([one[within] for _, one in measured])
        return np.stack([target[within] for target, _ in measured]), known[np.newaxis]


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


@dataclass(frozen=True, slots=True)
class ValidationWindow:
    """Where a window of the validation lies, and which voxels it speaks for."""

    volume: int
    """Number of the volume."""
    start: ZYX
    """Position (z, y, x)."""
    part: Box
    """The voxels of the volume that count in this window, and in no other one."""


@dataclass(frozen=True)
class ValidationPatches(Dataset[Sample]):
    """The windows that cover the annotated part of the validation volumes, in order, as they are.

    Every annotated voxel counts once: `valid` is False where another window speaks for a voxel, and beyond the volume.
    """

    cutter: PatchCutter
    windows: Sequence[ValidationWindow]
    shape: ZYX
    rank: int = 0
    world_size: int = 1

    def of_rank(self, rank: int, world_size: int) -> ValidationPatches:
        """Return the share of one process; all have equally many, and one that others have counts for nothing."""
        return replace(self, rank=rank, world_size=world_size)

    def __len__(self) -> int:
        return len(share_of_rank(self.windows, self.rank, self.world_size))

    def __getitem__(self, place: int) -> Sample:
        counts = place < count_of_rank(len(self.windows), self.rank, self.world_size)
        window = share_of_rank(self.windows, self.rank, self.world_size)[place]
        sample = as_sample(self.cutter.cut(window.volume, window.start, Geometry(self.shape)))
        own = torch.zeros_like(sample["valid"])
        if counts:
            z, y, x = (a - b for a, b in zip(window.part.start, window.start, strict=True))
            own[0][Box.at((z, y, x), window.part.shape).slices] = True
        spacing = self.cutter.volumes[window.volume].image.info.spacing_nm
        assert spacing is not None  # a volume without one is not opened
        number = self.rank + place * self.world_size if counts else -1
        valid = sample["valid"] & own
        return {**sample, "valid": valid, "spacing_nm": torch.tensor(spacing), "number": torch.tensor(number)}


def as_sample(patch: Patch) -> Sample:
    """Return a patch as tensors."""
    return {
        "image": torch.from_numpy(patch.image),
        "label": torch.from_numpy(patch.label),
        "valid": torch.from_numpy(patch.valid),
    }
