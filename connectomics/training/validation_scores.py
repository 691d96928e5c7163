"""What a validation finds beside losses and overlap: CREMI distance and outcomes in patches, precision over recall."""

from __future__ import annotations

from typing import Any, final

import pytorch_lightning as pl
import torch
from pytorch_lightning.utilities.types import STEP_OUTPUT
from torch import Tensor
from torch.utils.tensorboard import SummaryWriter

from connectomics.config.decoding import DecodingConfig
from connectomics.decoding import pick_decoder
from connectomics.metrics import LabelPair, UndefinedError
from connectomics.metrics.cleft_distance import measure_cleft_distance
from connectomics.metrics.judged import judge
from connectomics.metrics.matching import MatchRule
from connectomics.metrics.outcomes import Outcome
from connectomics.training.loggers import tensorboard_of
from connectomics.training.ranks import sum_over_ranks

BINS = 127
"""Thresholds of the precision-recall curve, from 0 to 1; TensorBoard takes no more."""


@final
class ValidationScores(pl.Callback):
    """Logs `val_cremi_distance`, `val_cremi_undefined`, `val_synapses/found` and so on, and a precision-recall curve.

    Validation looks at patches, and so does this distance: a cleft beyond the border of a patch is not seen, and the
    number is not that of whole volumes, which `--mode test` gives. It is the mean over at most
    `monitor.logging.scalar.max_cremi_patches` patches, evenly spread and the same every time, of those where something
    is annotated and something predicted; `val_cremi_undefined` is how many of them lack one of the two. Where all do,
    the distance is nan, and no checkpoint is better for it. In the same patches it is counted what became of each
    synapse; one that a border cuts counts as what is seen of it. Numbers and curve are those of all processes together.
    """

    def __init__(self, decoding: DecodingConfig, max_patches: int, rule: MatchRule) -> None:
        """Prepare to score with a threshold and a decoder.

        Args:
            decoding: The decoder, and its threshold.
            max_patches: On how many patches at most the distance is measured, and synapses are counted.
            rule: When a predicted and an annotated object are the same synapse.
        """
        self._foreground = pick_decoder(decoding).foreground
        self._threshold = decoding.threshold
        self._max_patches = max_patches
        self._rule = rule
        self._reset()

    def _reset(self) -> None:
        self._distance = torch.zeros(3, dtype=torch.float64)  # sum, patches with one, patches without
        self._outcomes = torch.zeros(len(Outcome), dtype=torch.int64)
        self._counts = torch.zeros(2, BINS, dtype=torch.int64)  # by probability: foreground voxels, and others

    def on_validation_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Forget the last validation."""
        self._reset()

    def on_validation_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: STEP_OUTPUT,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Count the probabilities of a batch, and measure those of its patches that are chosen."""
        if trainer.sanity_checking:
            return
        assert isinstance(outputs, Tensor)
        data = trainer.datamodule  # type: ignore[attr-defined]  # Lightning sets it, undeclared
        every = -(-len(data.validation_patches()) // max(1, self._max_patches))
        for i, number in enumerate(batch["number"].tolist()):
            if number < 0:
                continue  # another process counts it
            probability = self._foreground_of(outputs[i])  # (Z, Y, X)
            truth = self._foreground_of(batch["label"][i]) > 0.5
            valid = batch["valid"][i, 0] > 0
            self._count(probability[valid], truth[valid])
            if self._max_patches and number % every == 0:
                self._measure(probability >= self._threshold, truth, valid, batch["spacing_nm"][i])

    def on_validation_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Log the numbers, and write the curve."""
        if trainer.sanity_checking:
            return
        total, defined, undefined = sum_over_ranks(self._distance.to(pl_module.device))
        counts = sum_over_ranks(self._counts.to(pl_module.device))
        outcomes = sum_over_ranks(self._outcomes.to(pl_module.device))
        if self._max_patches:
            pl_module.log("val_cremi_distance", total / defined)
            pl_module.log("val_cremi_undefined", undefined)
            for word, number in zip(Outcome, outcomes, strict=True):
                pl_module.log(f"val_synapses/{word.key}", number.float())
        writer = tensorboard_of(trainer)
        if writer is not None and counts.sum() > 0:
            _write_curve(writer, counts.double().cpu(), trainer.global_step)

    def _foreground_of(self, channels: Tensor) -> Tensor:
        """Return what the decoder takes for the probability of any object, (Z, Y, X), of channels (C, Z, Y, X)."""
        return torch.from_numpy(self._foreground(channels.float().cpu().numpy())).to(channels.device)

    def _count(self, probability: Tensor, truth: Tensor) -> None:
        bins = (probability * (BINS - 1)).long().clamp(0, BINS - 1)
        counts = [torch.bincount(bins[which], minlength=BINS) for which in (truth, ~truth)]
        self._counts = self._counts.to(bins.device) + torch.stack(counts)

    def _measure(self, predicted: Tensor, truth: Tensor, valid: Tensor, spacing_nm: Tensor) -> None:
        z, y, x = (float(f"{size:.6g}") for size in spacing_nm.tolist())  # as it was before it was float32
        ours, theirs = ((mask & valid).cpu().numpy() for mask in (predicted, truth))
        pair = LabelPair(ours, theirs, (z, y, x))
        outcomes = judge(pair, self._rule).outcomes
        assert outcomes is not None  # there is a truth
        self._outcomes += torch.tensor([outcomes.count(word) for word in Outcome])
        try:
            distance = measure_cleft_distance(pair.masks)
            self._distance += torch.tensor([distance.score, 1, 0])
        except UndefinedError:
            self._distance[2] += 1


def _write_curve(writer: SummaryWriter, counts: Tensor, step: int) -> None:
    """Write precision over recall, from voxels by probability: (2, bins), of foreground and of background."""
    true, false = counts.flip(1).cumsum(1).flip(1)  # at least as probable as each threshold
    missed, right = true[0] - true, false[0] - false
    precision, recall = true / (true + false).clamp(min=1), true / true[0].clamp(min=1)
    writer.add_pr_curve_raw(
        "validation/precision_recall",
        true_positive_counts=true.numpy(),
        false_positive_counts=false.numpy(),
        true_negative_counts=right.numpy(),
        false_negative_counts=missed.numpy(),
        precision=precision.numpy(),
        recall=recall.numpy(),
        global_step=step,
        num_thresholds=BINS,
    )
