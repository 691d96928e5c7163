"""A training that is asked to stop saves where it is and says how to go on."""

from __future__ import annotations

import signal
import threading
from pathlib import Path
from types import FrameType
from typing import Any, final

import pytorch_lightning as pl


class TrainingInterrupted(Exception):
    """The training stopped on Ctrl-C or SIGTERM, after the running step was finished and saved."""

    def __init__(self, signum: int, checkpoint: Path) -> None:
        super().__init__(f"stopped by {signal.Signals(signum).name}")
        self.signum = signum
        self.checkpoint = checkpoint


@final
class SaveOnInterrupt(pl.Callback):
    """Finishes the running step on Ctrl-C or SIGTERM, saves `last.ckpt`, and ends the training.

    A second Ctrl-C ends at once, without saving. With several processes all stop at the same step.
    """

    def __init__(self, checkpoint: Path) -> None:
        self._checkpoint = checkpoint
        self._signum = 0
        self._saved = False
        self._before: dict[int, Any] = {}

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Listen for the signals."""
        if threading.current_thread() is threading.main_thread():
            self._before = {s: signal.signal(s, self._note) for s in (signal.SIGINT, signal.SIGTERM)}

    def _note(self, signum: int, frame: FrameType | None) -> None:
        if self._signum == signal.SIGINT == signum:
            raise KeyboardInterrupt
        self._signum = signum

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Save, if asked to stop; the training ends after this step's numbers have been logged."""
        asked = self._signum != 0
        if trainer.world_size > 1:
            asked = trainer.strategy.reduce_boolean_decision(asked, all=False)
        if asked:
            trainer.save_checkpoint(self._checkpoint)
            self._saved = True

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Stop before the next step."""
        self._stop()

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Stop before the validation that follows an epoch's last step."""
        self._stop()

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Stop before the next epoch."""
        self._stop()

    def _stop(self) -> None:
        if self._saved:
            raise TrainingInterrupted(self._signum or signal.SIGTERM, self._checkpoint)

    def teardown(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Stop listening."""
        for signum, handler in self._before.items():
            signal.signal(signum, handler)
        self._before = {}
