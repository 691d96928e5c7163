"""The volumes of a training as Lightning takes them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import final

import pytorch_lightning as pl
import torch
from pytorch_lightning.loops.progress import _ProcessedTracker
from torch.utils.data import DataLoader

from connectomics.config.data import DataConfig
from connectomics.config.system import SystemConfig
from connectomics.data.augment import build_augmentation
from connectomics.data.datasets import PatchCutter, Sample, TrainingPatches, ValidationPatches, ValidationWindow
from connectomics.data.learning_sources import LearningSources
from connectomics.data.loader import EpochBatches, LoaderOptions, Progress, Share, TrainingLoader, loader_options
from connectomics.data.positions import find_positions
from connectomics.data.sampling import build_sampler, is_on
from connectomics.data.targets import NOT_ANNOTATED, build_target
from connectomics.data.volume import LearningVolume, open_learning_volume
from connectomics.data.windows import cover, own_parts, spread
from connectomics.errors import UserError
from connectomics.geometry import ZYX
from connectomics.volumes.labelled import LabelledSource

MOST_WORKERS = 16
"""Processes that cut patches where `system.num_workers` is -1: more of them fill the memory and speed up nothing."""


@final
class VolumesDataModule(pl.LightningDataModule):
    """Patches for training and validation, cut from the volumes that the settings name.

    A batch holds `image`, float32 (B, C, Z, Y, X) in [0, 1]; `label`, float32 (B, C, Z, Y, X), 0 or 1; and `valid`,
    bool (B, 1, Z, Y, X), False where the loss must not look.
    """

    def __init__(
        self, sources: LearningSources, config: DataConfig, batches_per_epoch: int, system: SystemConfig
    ) -> None:
        """Take the volumes; they are read when patches are first asked for.

        Args:
            sources: The volumes, opened.
            config: How patches are cut, drawn and augmented, and what the network is to learn.
            batches_per_epoch: How many batches an epoch has, each as large as one process takes.
            system: The seed, the workers, and whether batches go to a GPU.
        """
        super().__init__()
        self.sources = sources
        self.config = config
        self.target = build_target(config.target)
        self._batches_per_epoch, self._system = batches_per_epoch, system
        self._training: TrainingPatches | None = None
        self._validation: ValidationPatches | None = None

    def setup(self, stage: str) -> None:
        """Read what is to be held in memory, and find where patches may lie."""
        if stage == "fit":
            self.training_patches()
        if stage in ("fit", "validate"):
            self.validation_patches()

    def train_dataloader(self) -> TrainingLoader:
        """Return batches of random patches, as many as an epoch has."""
        rank, world_size = self._ranks()
        share = Share(self.config.dataloader.batch_size, rank, world_size)
        batches = EpochBatches(self._batches_per_epoch, share, self._progress)
        return TrainingLoader(self.training_patches(), batches, **self._loader_options(most=self._batches_per_epoch))

    def val_dataloader(self) -> DataLoader[Sample] | list[DataLoader[Sample]]:
        """Return batches of the windows that validation looks at; an empty list without validation volumes."""
        patches = self.validation_patches()
        if patches is None:
            return []
        mine = patches.of_rank(*self._ranks())
        size = self.config.dataloader.batch_size
        return DataLoader(mine, batch_size=size, **self._loader_options(most=-(-len(mine) // size)))

    def training_patches(self) -> TrainingPatches:
        """Return the patches of the training, by their number; the first call reads the volumes."""
        if self._training is None:
            self._training = self._build_training()
        return self._training

    def validation_patches(self) -> ValidationPatches | None:
        """Return the windows of the validation, of all ranks; None without volumes. The first call reads them."""
        if self._validation is None and self.sources.validation:
            self._validation = self._build_validation()
        return self._validation

    def _build_training(self) -> TrainingPatches:
        data = self.config
        cutter = self._cutter(self.sources.training, data.dataloader.use_preloaded_cache_train)
        reject, pad = data.dataloader.reject_sampling, data.data_transform
        threshold = reject.size_thres if is_on(reject) else 0
        positions = [
            find_positions(v.codes, data.dataloader.patch_size, pad.pad_size, pad.pad_mode, threshold, v.box)
            for v in cutter.volumes
        ]
        names = [v.image.info.location for v in cutter.volumes]
        sampler = build_sampler(names, positions, reject, data.dataloader.volume_weights)
        augmentation = build_augmentation(data.augmentation)
        return TrainingPatches(cutter, sampler, augmentation, data.dataloader.patch_size, self._system.seed)

    def _build_validation(self) -> ValidationPatches:
        dataloader = self.config.dataloader
        cutter = self._cutter(self.sources.validation, dataloader.use_preloaded_cache_val)
        size = dataloader.patch_size
        windows = [window for i, v in enumerate(cutter.volumes) for window in _annotated_windows(i, v, size)]
        if not windows:
            raise UserError("data.val: no voxel of any volume is annotated; its masks or labels exclude everything")
        return ValidationPatches(cutter, spread(windows, dataloader.max_val_patches), size)

    def _cutter(self, sources: Sequence[LabelledSource], preload: bool) -> PatchCutter:
        transform, patch = self.config.image_transform, self.config.dataloader.patch_size
        z, y, x = (size + pad for size, pad in zip(patch, self.config.data_transform.pad_size, strict=True))
        volumes: Sequence[LearningVolume] = [
            open_learning_volume(source, self.target, transform, preload, (z, y, x)) for source in sources
        ]
        return PatchCutter(volumes, self.target, self.config.data_transform.pad_mode)

    def _ranks(self) -> tuple[int, int]:
        return (0, 1) if self.trainer is None else (self.trainer.global_rank, self.trainer.world_size)

    def _progress(self) -> Progress:
        """Return how far the training is; `processed` counts the batches whose gradient was taken."""
        if self.trainer is None:
            return Progress(0, 0, 0)
        batches = self.trainer.fit_loop.epoch_loop.batch_progress
        total, current = batches.total, batches.current
        assert isinstance(total, _ProcessedTracker)
        assert isinstance(current, _ProcessedTracker)
        return Progress(total.processed, current.processed, current.completed)

    def _on_gpu(self) -> bool:
        """Return whether batches go to a GPU: only those are worth memory that the system cannot move."""
        return torch.cuda.is_available() and self._system.num_gpus != 0

    def _loader_options(self, most: int) -> LoaderOptions:
        wanted = self._system.num_workers
        if wanted < 0:
            beside = 1 if self.trainer is None else max(1, self.trainer.num_devices)
            wanted = max(1, min(MOST_WORKERS, len(os.sched_getaffinity(0)) // beside))
        return loader_options(min(wanted, most), pin_memory=self._on_gpu())


def _annotated_windows(number: int, volume: LearningVolume, size: ZYX) -> list[ValidationWindow]:
    """Return the windows that cover a volume, but for those that speak for no annotated voxel."""
    shape = volume.box.shape
    windows = [
        ValidationWindow(number, volume.place(at), part.moved(volume.box.start))
        for at, part in zip(cover(shape, size), own_parts(shape, size), strict=True)
    ]
    return [window for window in windows if (volume.codes.read(window.part) != NOT_ANNOTATED).any()]
