"""The volumes that a network learns from and is validated on, opened once; no torch, so that a slip is told at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from connectomics.config.data import DataConfig
from connectomics.errors import UserError
from connectomics.volumes.labelled import LabelledSource, open_labelled


@dataclass(frozen=True, slots=True)
class LearningSources:
    """What a training reads."""

    training: tuple[LabelledSource, ...]
    validation: tuple[LabelledSource, ...]
    """Empty for a training without validation."""

    @property
    def all(self) -> tuple[LabelledSource, ...]:
        """Those of training, then those of validation."""
        return self.training + self.validation


def open_learning(data: DataConfig, channels: int) -> LearningSources:
    """Open every file of a training, and compare what they say with the settings; no voxel is read.

    Args:
        data: The settings that name the files, and how large patches are.
        channels: How many channels the network takes.

    Raises:
        UserError: If a file is missing or cannot be used, or a volume is too small for a patch.
    """
    training = open_labelled(data.train, "data.train", channels, need_label=True)
    validation = open_labelled(data.val, "data.val", channels, need_label=True) if data.val.image else []
    _require_room(training, "data.train", data)
    _require_room(validation, "data.val", data)
    return LearningSources(tuple(training), tuple(validation))


def _require_room(opened: Sequence[LabelledSource], key: str, data: DataConfig) -> None:
    """Refuse a volume in which no patch of training, or no window of validation, has room."""
    patch, pad = data.dataloader.patch_size, data.data_transform.pad_size
    for one in opened:
        there = one.image if key == "data.train" else one.seen
        padded = tuple(n + 2 * p for n, p in zip(there.shape, pad, strict=True))
        if any(n < size for n, size in zip(padded, patch, strict=True)):
            raise UserError(
                f"{key}: {one.image.info.location} has shape {there.shape}, with data.data_transform.pad_size "
                f"{padded}; a patch of data.dataloader.patch_size = {tuple(patch)} does not fit: take smaller patches "
                "or a larger pad_size"
            )
