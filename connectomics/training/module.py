"""The network in training: the loss of a batch, the optimizer, the numbers that are logged."""

from __future__ import annotations

from typing import Any, final

import pytorch_lightning as pl
import torch
from pytorch_lightning.utilities.types import OptimizerLRSchedulerConfig
from torch import Tensor
from torch._dynamo.exc import TorchDynamoException
from torch.optim import Optimizer

from connectomics.geometry import Spacing
from connectomics.losses import Criterion
from connectomics.models import build_model
from connectomics.models.build import choose_memory_format, has_deep_heads, recompute_finest_level
from connectomics.training.checkpoints import LEARNT_AT_KEY, SETTINGS_KEY
from connectomics.training.devices import cannot_compile
from connectomics.training.initial_weights import freeze, hold_frozen
from connectomics.training.learning import Learning
from connectomics.training.optimizers import build_optimizer, build_scheduler
from connectomics.training.ranks import sum_over_ranks, sums_over_ranks, world_size
from connectomics.training.resuming import follow_settings

Batch = dict[str, Tensor]


@final
class SegmentationModule(pl.LightningModule):
    """A network, its loss and its optimizer.

    Every number that is logged is that of all processes together, the same on each of them. How many there are does
    not matter where together they take the same batches. It does with batch normalisation, whose statistics in
    training are those of each process's own part of a batch (unless `model.sync_batchnorm`), and with
    `DiceLoss(batch=True)`, which divides there.
    """

    def __init__(self, learning: Learning) -> None:
        """Build the network, with random weights."""
        super().__init__()
        self.learning = learning
        self.learnt_at = list(learning.learnt_at)
        network, on_gpu = learning.network, learning.devices.accelerator == "gpu"
        self.model = build_model(network, on_gpu)
        freeze(self.model, network.weights.freeze)
        if learning.optimization.recompute_finest_level:
            recompute_finest_level(self.model)
        if learning.optimization.compile:
            self.model.compile()  # when the first batch comes
        self.train()
        self.target = learning.target
        self.criterion = Criterion(network.loss, network.out_channels, self.target.num_channels)
        self.activations = learning.activations
        self.memory_format = choose_memory_format(network, on_gpu)
        self.overlap = Overlap(self.target.num_channels)
        self.val_sums: list[Tensor] = []
        self.batch_loss = torch.zeros(())
        """Loss of the last batch of training, of all processes together."""

    def train(self, mode: bool = True) -> SegmentationModule:
        """Begin or end training; frozen parts of the network stay in evaluation."""
        super().train(mode)
        hold_frozen(self.model, self.learning.network.weights.freeze)
        return self

    def forward(self, image: Tensor) -> Tensor:
        """Map an image (B, C, Z, Y, X) in [0, 1] to logits (B, O, Z, Y, X)."""
        logits: Tensor = self._run_network(image)
        return logits

    def _run_network(self, image: Tensor, **how: bool) -> Any:
        try:
            return self.model(image.contiguous(memory_format=self.memory_format), **how)
        except TorchDynamoException as error:
            raise cannot_compile("optimization.compile", error) from error

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Return the summed loss of this process's part of a batch, and log each weighted term of the whole batch."""
        terms = self._share(self._terms(batch), batch["valid"])
        total = torch.stack(list(terms.values())).sum()
        size = len(batch["image"])
        *logged, self.batch_loss = sum_over_ranks(torch.stack([*terms.values(), total]).detach()) / world_size()
        self.log_dict({f"train_loss_{name}": term for name, term in zip(terms, logged, strict=True)}, batch_size=size)
        self.log("train_loss_total_step", self.batch_loss, on_step=True, batch_size=size)
        rate = torch.tensor(self.trainer.optimizers[0].param_groups[0]["lr"])  # stays on the host: a copy would wait
        self.log("learning_rate", rate, batch_size=size)
        return total

    def _terms(self, batch: Batch) -> dict[str, Tensor]:
        """Return each term of the loss; coarser levels of the network that predict too have their share in it."""
        if not has_deep_heads(self.model):
            return self.criterion(self(batch["image"]), batch["label"], batch["valid"])
        levels = self._run_network(batch["image"], deep=True)
        losses = [self.criterion(logits, batch["label"], batch["valid"]) for logits in levels]
        weights = [0.5**level / (2 - 0.5 ** (len(levels) - 1)) for level in range(len(levels))]  # they add up to 1
        return {name: torch.stack([w * one[name] for w, one in zip(weights, losses, strict=True)]).sum()
                for name in losses[0]}  # fmt: skip

    def _share(self, terms: dict[str, Tensor], valid: Tensor) -> dict[str, Tensor]:
        """Return the terms of one process so that their mean over the processes is the loss of the whole batch.

        A mean over annotated voxels counts as often as the process has such voxels: their number may differ.
        """
        if world_size() == 1:
            return terms
        own = valid.sum().float()
        share = own * world_size() / sum_over_ranks(own).clamp(min=1)
        over_voxels = zip(terms.items(), self.criterion.over_voxels, strict=True)
        return {name: term * share if weighs else term for (name, term), weighs in over_voxels}

    def validation_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Add up what the loss and the overlap need of one batch, and return its probabilities (B, O, Z, Y, X)."""
        logits = self(batch["image"])
        sums = self.criterion.sums(logits, batch["label"], batch["valid"])
        self.val_sums = [a + b for a, b in zip(self.val_sums, sums, strict=True)] if self.val_sums else sums
        probability = self.activations(logits)
        self.overlap.add(probability, batch["label"], batch["valid"], self.learning.decoding.threshold)
        return probability

    def on_validation_epoch_start(self) -> None:
        """Begin the sums of this validation anew."""
        self.overlap = Overlap(self.target.num_channels)
        self.val_sums = []

    def on_validation_epoch_end(self) -> None:
        """Log the loss over all annotated voxels of the validation, and their Jaccard index.

        The loss is that of `Loss.of_sums`: each voxel counts once, whatever window, batch or process it is in. The
        Jaccard index is that of each channel, and their mean; the background is not among them, nor is a channel where
        nothing is foreground.
        """
        terms = self.criterion.of_sums(sums_over_ranks(self.val_sums))
        self.log_dict({f"val_loss_{name}": term for name, term in terms.items()})
        self.log("val_loss_total", torch.stack(list(terms.values())).sum())
        counts = sum_over_ranks(self.overlap.counts.to(self.device))
        names = {self.target.names[i]: counts[i] for i in self.target.foreground}
        found = {name: both / either for name, (both, either) in names.items() if either > 0}
        if len(names) > 1:
            self.log_dict({f"val_jaccard_{name}": index for name, index in found.items()})
        if found:
            self.log("val_jaccard", torch.stack(list(found.values())).mean())

    def configure_optimizers(self) -> OptimizerLRSchedulerConfig:
        """Build the optimizer and the scheduler of the settings."""
        settings = self.learning.optimization
        on_gpu = self.learning.devices.accelerator == "gpu"
        optimizer: Optimizer = build_optimizer(self.model, settings.optimizer, on_gpu)
        scheduler = build_scheduler(optimizer, settings)
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": scheduler, "interval": settings.scheduler.interval},
        }

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Put the settings into the checkpoint, as plain values that load without this package."""
        checkpoint[SETTINGS_KEY] = dict(self.learning.settings)
        if self.learnt_at:
            checkpoint[LEARNT_AT_KEY] = [list(spacing) for spacing in self.learnt_at]

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Go on with the settings of today, and keep the voxel sizes of earlier parts of the training."""
        follow_settings(checkpoint, self.learning, self)
        earlier: list[Spacing] = [(z, y, x) for z, y, x in checkpoint.get(LEARNT_AT_KEY, ())]
        self.learnt_at = list(dict.fromkeys([*earlier, *self.learnt_at]))


@final
class Overlap:
    """Intersection and union of predicted and annotated voxels of each channel, summed over batches."""

    def __init__(self, channels: int) -> None:
        self.counts = torch.zeros(channels, 2, dtype=torch.float64)

    def add(self, probability: Tensor, label: Tensor, valid: Tensor, threshold: float) -> None:
        """Count one batch (B, C, Z, Y, X); voxels where `valid` (B, 1, Z, Y, X) is 0 do not count."""
        if probability.shape != label.shape:
            return
        annotated = valid > 0
        predicted, truth = (probability >= threshold) & annotated, (label > 0.5) & annotated
        counts = [part.sum(dim=(0, 2, 3, 4)) for part in (predicted & truth, predicted | truth)]
        self.counts = self.counts.to(label.device) + torch.stack(counts, dim=1)
