"""Pictures of validation patches in TensorBoard: the same patches every time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, final

import numpy as np
import numpy.typing as npt
import pytorch_lightning as pl
from pytorch_lightning.utilities.types import STEP_OUTPUT
from torch import Tensor

from connectomics.config.decoding import DecodingConfig
from connectomics.config.monitor import ImagesConfig
from connectomics.decoding import pick_decoder
from connectomics.drawing.figures import sections_side_by_side
from connectomics.metrics import LabelPair
from connectomics.metrics.judged import judge, mark_outcomes
from connectomics.metrics.matching import MatchRule
from connectomics.training.loggers import tensorboard_of
from connectomics.training.ranks import gather_over_ranks

Shown = tuple[npt.NDArray, npt.NDArray, npt.NDArray, npt.NDArray]
"""Image (Z, Y, X), label and probability (C, Z, Y, X), and what became of each object (Z, Y, X), of one patch."""


@final
class ValidationImages(pl.Callback):
    """Writes the validation patches with the most foreground: raw, with label, with the outcomes, and predicted.

    The validation set is the same each time, and so are the patches chosen.
    """

    def __init__(
        self, config: ImagesConfig, channels: Sequence[int], decoding: DecodingConfig, rule: MatchRule
    ) -> None:
        """Prepare the pictures.

        Args:
            config: How many, and how often.
            channels: Channels of label and probability that are shown, none of them the background.
            decoding: What makes a mask of probabilities.
            rule: When a predicted and an annotated object are the same synapse.
        """
        self._foreground, self._threshold, self._rule = pick_decoder(decoding).foreground, decoding.threshold, rule
        self._config = config
        self._channels = list(channels)
        self._kept: dict[int, tuple[float, Shown]] = {}

    def on_validation_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Forget the last validation."""
        self._kept = {}

    def on_validation_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: STEP_OUTPUT,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Keep the patches of this batch that have more foreground than those kept so far."""
        if not self._is_due(trainer):
            return
        assert isinstance(outputs, Tensor)
        foreground = ((batch["label"][:, self._channels] > 0.5) * batch["valid"]).sum((1, 2, 3, 4)).tolist()
        for i, (number, amount) in enumerate(zip(batch["number"].tolist(), foreground, strict=True)):
            if number < 0 or number not in self._most({**self._amounts(), number: amount}):
                continue
            label, probability = batch["label"][i], outputs[i]
            if len(probability) == len(label):  # the network may have channels of its own
                probability = probability[self._channels]
            shown = _as_shown(batch["image"][i], label[self._channels], probability)
            self._kept[number] = (amount, (*shown, self._outcomes(outputs[i], label, batch["valid"][i, 0])))
            self._kept = {n: self._kept[n] for n in self._most(self._amounts())}

    def on_validation_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Write one picture for each patch of those kept by all processes."""
        if not self._is_due(trainer):
            return
        amounts = {number: amount for kept in gather_over_ranks(self._amounts()) for number, amount in kept.items()}
        drawn = {
            number: sections_side_by_side(*self._kept[number][1], num_sections=self._config.num_slices)
            for number in self._most(amounts)
            if number in self._kept
        }
        pictures = {number: picture for part in gather_over_ranks(drawn) for number, picture in part.items()}
        if (writer := tensorboard_of(trainer)) is not None:
            for place, number in enumerate(sorted(pictures)):
                name = f"validation/patch_{place}_raw_label_probability"
                writer.add_image(name, pictures[number], trainer.global_step, dataformats="HWC")
        self._kept = {}

    def _outcomes(self, probability: Tensor, label: Tensor, valid: Tensor) -> npt.NDArray[np.uint8]:
        """Return what became of each object of a patch, (Z, Y, X), of channels (C, Z, Y, X)."""
        found, truth = (self._foreground(one.detach().float().cpu().numpy()) for one in (probability, label))
        pair = LabelPair(found >= self._threshold, truth > 0.5, (1, 1, 1), (valid > 0).cpu().numpy())
        return mark_outcomes(judge(pair, replace(self._rule, max_distance_nm=None)))

    def _amounts(self) -> dict[int, float]:
        return {number: amount for number, (amount, _) in self._kept.items()}

    def _most(self, amounts: Mapping[int, float]) -> list[int]:
        """Return the numbers of the patches that are shown, of patches with so much foreground."""
        return sorted(amounts, key=lambda number: (-amounts[number], number))[: self._config.max_images]

    def _is_due(self, trainer: pl.Trainer) -> bool:
        due = trainer.current_epoch % self._config.log_every_n_epochs == 0
        return due and self._config.max_images > 0 and not trainer.sanity_checking


def _as_shown(image: Tensor, label: Tensor, probability: Tensor) -> tuple[npt.NDArray, npt.NDArray, npt.NDArray]:
    """Return the first channel of an image, and all of the others, as arrays; what is no number is shown as 0."""
    image_z, label_c, probability_c = (
        tensor.detach().float().nan_to_num(0).cpu().numpy() for tensor in (image[0], label, probability)
    )
    return image_z, label_c, probability_c
