"""One line that says how far the training is: loss, learning rate, samples per second, time left."""

from __future__ import annotations

import sys
import time
from typing import Any, final

import pytorch_lightning as pl
from pytorch_lightning.callbacks import ProgressBar
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn

from connectomics.screen.durations import describe_seconds

SHOWN = ("val_loss_total", "val_jaccard", "val_cremi_distance")
"""Numbers of a validation that are printed."""

LINE_EVERY_S = 30.0
"""Without a terminal (SLURM, a file) a line is printed this often instead of a moving bar."""


@final
class TrainingProgress(ProgressBar):
    """A moving bar on a terminal; elsewhere a plain line now and then."""

    def __init__(self, max_steps: int, samples_per_step: int) -> None:
        super().__init__()
        self._max_steps, self._samples_per_step = max_steps, samples_per_step
        self._console = Console(file=sys.stdout, highlight=False, soft_wrap=True)
        self._bar: Progress | None = None
        self._task = TaskID(0)
        self._enabled = True
        self._began, self._first_step, self._printed = 0.0, 0, 0.0

    def disable(self) -> None:
        """Show nothing, as on every process but the first."""
        self._enabled = False

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Begin to measure the speed."""
        self._began = self._printed = time.monotonic()
        self._first_step = trainer.global_step
        if self._enabled and trainer.is_global_zero and self._console.is_terminal:
            self._bar = Progress(BarColumn(), TextColumn("{task.description}"), console=self._console)
            self._task = self._bar.add_task("", total=self._max_steps, completed=trainer.global_step)
            self._bar.start()

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Move the bar, or print a line when it is time."""
        now = time.monotonic()
        every = 0.5 if self._bar is not None else LINE_EVERY_S
        if now - self._printed >= every or trainer.global_step == self._max_steps:
            self._printed = now
            self._show(trainer, self._describe(trainer, now))

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Print what the validation found."""
        found = {k: float(v) for k, v in trainer.callback_metrics.items() if k in SHOWN}
        if found and not trainer.sanity_checking and trainer.is_global_zero and self._enabled:
            numbers = "  ".join(f"{name} {value:.4f}" for name, value in sorted(found.items()))
            self._console.print(f"step {trainer.global_step}/{self._max_steps}  {numbers}")

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Leave the last state of the bar on the screen."""
        self._stop()

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        """Give the terminal back."""
        self._stop()

    def _stop(self) -> None:
        if self._bar is not None:
            self._bar.stop()
            self._bar = None

    def _show(self, trainer: pl.Trainer, text: str) -> None:
        if not (self._enabled and trainer.is_global_zero):
            return
        if self._bar is not None:
            self._bar.update(self._task, completed=trainer.global_step, description=text)
        else:
            self._console.print(text)

    def _describe(self, trainer: pl.Trainer, now: float) -> str:
        done, total = trainer.global_step - self._first_step, self._max_steps
        parts = [f"step {trainer.global_step}/{total}"]
        if "train_loss_total_step" in trainer.callback_metrics:
            parts.append(f"loss {float(trainer.callback_metrics['train_loss_total_step']):.4f}")
        parts.append(f"lr {trainer.optimizers[0].param_groups[0]['lr']:.2e}")
        if (skipped := int(trainer.callback_metrics.get("skipped_steps", 0))) > 0:
            parts.append(f"{skipped} skipped")
        if done > 0:
            rate = done / (now - self._began)
            parts.append(f"{rate * self._samples_per_step:.3g} samples/s")
            parts.append(f"{describe_seconds((total - trainer.global_step) / rate)} left")
        return "  ".join(parts)
