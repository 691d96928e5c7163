"""A training that is asked to stop saves where it is and says how to go on."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any, final

import pytorch_lightning as pl

LISTENED_TO = tuple(s for s in signal.Signals if s.name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGUSR1", "SIGUSR2"))
"""Ctrl-C, what a cluster sends before it takes the machine away, and what a terminal sends that closes."""


class TrainingInterrupted(Exception):
    """The training was asked to stop, and did after the running step was finished and saved."""

    def __init__(self, signum: int, checkpoint: Path) -> None:
        super().__init__(f"stopped by {signal.Signals(signum).name}")
        self.signum = signal.SIGINT if signum == signal.SIGINT else signal.SIGTERM
        """What the exit status tells: Ctrl-C (status 130), or anything else that a scheduler sends (143)."""
        self.checkpoint = checkpoint


class StoppedAtOnce(BaseException):
    """A second Ctrl-C. Lightning answers a `KeyboardInterrupt` by itself, with a status that says nothing."""


@final
class SaveOnInterrupt(pl.Callback):
    """Finishes the running step on any of `LISTENED_TO`, saves `last.ckpt`, and ends the training.

    A step of several batches (`optimization.accumulate_grad_batches`) is finished with all of them: what a gradient
    has added up so far is in no checkpoint. A second Ctrl-C ends at once, without saving. With several processes all
    stop at the same step.
    """

    def __init__(self, checkpoint: Path) -> None:
        self._checkpoint = checkpoint
        self._signum = 0
        self._saved = False
        self._in_validation = False
        self._signals: list[signal.Signals] = []

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Listen for the signals, already before the first step; `nohup` goes on holding off SIGHUP."""
        if threading.current_thread() is threading.main_thread():
            held_off = [s for s in LISTENED_TO if s.name == "SIGHUP" and signal.getsignal(s) == signal.SIG_IGN]
            self._signals = [s for s in LISTENED_TO if s not in held_off]
        self._listen()

    def on_sanity_check_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Take the signals back that Lightning has laid its hands on in between."""
        self._listen()

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """The same, where nothing is validated."""
        self._listen()

    def _listen(self) -> None:
        for signum in self._signals:
            signal.signal(signum, self._note)

    def _note(self, signum: int, frame: FrameType | None) -> None:
        if self._signum == signal.SIGINT == signum:
            raise StoppedAtOnce
        self._signum = signum

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Save after an optimizer step, if asked to stop; the training ends after its numbers have been logged."""
        if (batch_idx + 1) % trainer.accumulate_grad_batches != 0 and not trainer.is_last_batch:
            return
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

    def on_validation_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int, dataloader_idx: int = 0
    ) -> None:
        """Do not wait for the end of a long validation: save what the step before it left.

        Several processes, whose validations may differ in length, cannot agree in their midst, and go on to its end.
        """
        if self._signum != 0 and trainer.world_size == 1 and not trainer.sanity_checking:
            self._in_validation = True
            trainer.save_checkpoint(self._checkpoint)
            self._saved = True
            self._stop()

    def on_save_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Write, in the midst of a validation, what would have been written right before it."""
        if not self._in_validation:
            return
        progress = checkpoint["loops"]["fit_loop"]
        for counts in (progress["epoch_loop.batch_progress"][name] for name in ("total", "current")):
            counts["completed"] = counts["processed"] - 1
        for counts in (progress["epoch_loop.val_loop.batch_progress"][name] for name in ("total", "current")):
            counts |= dict.fromkeys(counts, 0)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Stop before the next epoch."""
        self._stop()

    def _stop(self) -> None:
        if self._saved:
            raise TrainingInterrupted(self._signum or signal.SIGTERM, self._checkpoint)


@contextmanager
def signals_given_back() -> Iterator[None]:
    """Give the signals of `LISTENED_TO` back to who listened before, however the training inside ends."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {signum: signal.getsignal(signum) for signum in LISTENED_TO}
    try:
        yield
    finally:
        for signum, handler in before.items():
            signal.signal(signum, handler)
