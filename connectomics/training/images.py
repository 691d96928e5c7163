"""Pictures of validation patches in TensorBoard: the same patches every time."""

from __future__ import annotations

from typing import Any, final

import numpy as np
import numpy.typing as npt
import pytorch_lightning as pl
from torch import Tensor
from torch.utils.tensorboard import SummaryWriter

from connectomics.config.monitor import ImagesConfig
from connectomics.reports.figures import sections_side_by_side

Shown = tuple[npt.NDArray, npt.NDArray, npt.NDArray]
"""Image, label and probability of one patch, (Z, Y, X) each."""


@final
class ValidationImages(pl.Callback):
    """Writes the validation patches with the most foreground, raw, with label, and predicted.

    The validation set is the same each time, and so are the patches chosen.
    """

    def __init__(self, config: ImagesConfig) -> None:
        self._config = config
        self._kept: dict[int, tuple[float, Shown]] = {}

    def on_validation_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Forget the last validation."""
        self._kept = {}

    def on_validation_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Tensor,
        batch: dict[str, Tensor],
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Keep the patches of this batch that have more foreground than those kept so far."""
        if not self._is_due(trainer):
            return
        foreground = (batch["label"] * batch["valid"]).sum((1, 2, 3, 4)).tolist()
        for i, amount in enumerate(foreground):
            number = batch_idx * len(foreground) + i
            least = min(self._kept, key=lambda n: (self._kept[n][0], -n), default=None)
            if len(self._kept) >= self._config.max_images and least is not None:
                if self._kept[least][0] >= amount:
                    continue
                del self._kept[least]
            self._kept[number] = (amount, _first_channels(batch["image"][i], batch["label"][i], outputs[i]))

    def on_validation_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Write one picture for each patch kept."""
        if not self._is_due(trainer):
            return
        writer = trainer.logger.experiment if trainer.logger is not None else None
        if isinstance(writer, SummaryWriter):
            for place, number in enumerate(sorted(self._kept)):
                picture = sections_side_by_side(*self._kept[number][1], self._config.num_slices)
                name = f"validation/patch_{place}_raw_label_probability"
                writer.add_image(name, picture, trainer.global_step, dataformats="HWC")
        self._kept = {}

    def _is_due(self, trainer: pl.Trainer) -> bool:
        due = trainer.current_epoch % self._config.log_every_n_epochs == 0
        return due and self._config.max_images > 0 and trainer.is_global_zero and not trainer.sanity_checking


def _first_channels(image: Tensor, label: Tensor, probability: Tensor) -> tuple[Any, Any, Any]:
    """Return the first channel of each, (Z, Y, X), as arrays."""
    image_z, label_z, probability_z = (
        tensor[0].detach().float().cpu().numpy() for tensor in (image, label, probability)
    )
    return np.asarray(image_z), np.asarray(label_z), np.asarray(probability_z)
