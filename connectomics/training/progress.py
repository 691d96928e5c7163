"""One line that says how far the training is: loss, learning rate, samples per second, time left."""

from __future__ import annotations

import sys
from math import isnan
from typing import Any, final

import pytorch_lightning as pl
from pytorch_lightning.callbacks import ProgressBar
from rich.console import Console

from connectomics.screen.moving_bar import MovingBar

SHOWN = ("val_loss_total", "val_jaccard", "val_cremi_distance")
"""Numbers of a validation that are printed."""


@final
class TrainingProgress(ProgressBar):
    """A moving bar on a terminal; elsewhere a plain line now and then."""

    def __init__(self, max_steps: int, samples_per_step: int) -> None:
        super().__init__()
        self._max_steps, self._samples_per_step = max_steps, samples_per_step
        self._console = Console(file=sys.stdout, highlight=False, soft_wrap=True)
        self._bar = MovingBar(tells_end=True, screen=self._console)
        self._enabled = True
        self._first_step = 0

    def disable(self) -> None:
        """Show nothing, as on every process but the first."""
        self._enabled = False

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Begin to measure the speed."""
        self._first_step = trainer.global_step
        if self._speaks(trainer):
            self._bar.__enter__()

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Move the bar, or print a line when it is time."""
        if self._speaks(trainer):
            self._bar.update(trainer.global_step, self._max_steps, self._describe(trainer), first=self._first_step)

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Print what the validation found."""
        found = {k: float(v) for k, v in trainer.callback_metrics.items() if k in SHOWN}
        if found and not trainer.sanity_checking and self._speaks(trainer):
            numbers = "  ".join(f"{name} {_number(value)}" for name, value in sorted(found.items()))
            self._console.print(f"step {trainer.global_step}/{self._max_steps}  {numbers}")

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Give the terminal back."""
        self._bar.stop()

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        """Give the terminal back."""
        self._bar.stop()

    def _speaks(self, trainer: pl.Trainer) -> bool:
        return self._enabled and trainer.is_global_zero

    def _describe(self, trainer: pl.Trainer) -> list[str]:
        parts = [f"step {trainer.global_step}/{self._max_steps}"]
        if "train_loss_total_step" in trainer.callback_metrics:
            parts.append(f"loss {float(trainer.callback_metrics['train_loss_total_step']):.4f}")
        parts.append(f"lr {trainer.optimizers[0].param_groups[0]['lr']:.2e}")
        if (skipped := int(trainer.callback_metrics.get("skipped_steps", 0))) > 0:
            parts.append(f"{skipped} skipped")
        if (done := trainer.global_step - self._first_step) > 0:
            parts.append(f"{self._bar.rate(done) * self._samples_per_step:.3g} samples/s")
        return parts


def _number(value: float) -> str:
    """Return a score of a validation; a distance does not exist where nothing is predicted or nothing annotated."""
    return "undefined (nothing predicted)" if isnan(value) else f"{value:.4f}"
