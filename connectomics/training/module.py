"""The network in training: the loss of a batch, the optimizer, the numbers that are logged."""

from __future__ import annotations

from typing import Any, final

import pytorch_lightning as pl
import torch
from torch import Tensor
from torch.optim import Optimizer

from connectomics.config import Config, as_plain
from connectomics.data.targets import build_target
from connectomics.inference.activations import build_activations
from connectomics.losses import Criterion
from connectomics.models import build_model
from connectomics.models.build import MEMORY_FORMATS
from connectomics.training.checkpoints import SETTINGS_KEY
from connectomics.training.optimizers import build_optimizer, build_scheduler
from connectomics.training.resuming import follow_settings

Batch = dict[str, Tensor]


@final
class SegmentationModule(pl.LightningModule):
    """A network, its loss and its optimizer, as `Config` says."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        self.model = build_model(config.model)
        self.target = build_target(config.data.target)
        self.criterion = Criterion(config.model.loss, config.model.out_channels, self.target.num_channels)
        self.activations = build_activations(config.inference.model.channel_activations, config.model.out_channels)
        self.memory_format = MEMORY_FORMATS[config.model.memory_format]
        self.overlap = Overlap(self.target.num_channels)

    def forward(self, image: Tensor) -> Tensor:
        """Map an image (B, C, Z, Y, X) in [0, 1] to logits (B, O, Z, Y, X)."""
        return self.model(image.contiguous(memory_format=self.memory_format))

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Return the summed loss of one batch, and log each weighted term."""
        logits = self(batch["image"])
        terms = self.criterion(logits, batch["label"], batch["valid"])
        total = torch.stack(list(terms.values())).sum()
        size = len(batch["image"])
        self.log_dict({f"train_loss_{name}": term.detach() for name, term in terms.items()}, batch_size=size)
        self.log("train_loss_total_step", total.detach(), on_step=True, batch_size=size)
        self.log("learning_rate", self.trainer.optimizers[0].param_groups[0]["lr"], batch_size=size)
        return total

    def validation_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Log the loss of one batch, count its overlap, and return the probabilities (B, O, Z, Y, X)."""
        logits = self(batch["image"])
        terms = self.criterion(logits, batch["label"], batch["valid"])
        named = {f"val_loss_{name}": term for name, term in terms.items()}
        named["val_loss_total"] = torch.stack(list(terms.values())).sum()
        self.log_dict(named, batch_size=len(batch["image"]), sync_dist=True)
        probability = self.activations(logits)
        self.overlap.add(probability, batch["label"], batch["valid"], self.config.decoding.threshold)
        return probability

    def on_validation_epoch_start(self) -> None:
        """Count the overlap of this validation anew."""
        self.overlap = Overlap(self.target.num_channels)

    def on_validation_epoch_end(self) -> None:
        """Log the Jaccard index over all validation voxels: of each channel, and their mean.

        The background is not among them, nor is a channel where nothing is foreground.
        """
        counts = self.trainer.strategy.reduce(self.overlap.counts.to(self.device), reduce_op="sum")
        names = {self.target.names[i]: counts[i] for i in self.target.foreground}
        found = {name: both / either for name, (both, either) in names.items() if either > 0}
        if len(names) > 1:
            self.log_dict({f"val_jaccard_{name}": index for name, index in found.items()})
        if found:
            self.log("val_jaccard", torch.stack(list(found.values())).mean())

    def configure_optimizers(self) -> dict[str, Any]:
        """Build the optimizer and the scheduler of the settings."""
        optimizer: Optimizer = build_optimizer(self.model, self.config.optimization.optimizer)
        scheduler = build_scheduler(optimizer, self.config.optimization)
        interval = self.config.optimization.scheduler.interval
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": interval}}

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Put the settings into the checkpoint, as plain values that load without this package."""
        checkpoint[SETTINGS_KEY] = as_plain(self.config)

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Go on with the settings of today, not with those that the checkpoint was trained with."""
        follow_settings(checkpoint, self.config, self)


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
