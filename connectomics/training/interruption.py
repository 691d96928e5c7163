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
import torch
from pytorch_lightning.callbacks import Checkpoint

from connectomics.stopping import LISTENED_TO
from connectomics.training.saving import Moment, SaveLast
from connectomics.training.unfinished import validation_follows


class TrainingInterrupted(Exception):
    """The training was asked to stop, and did; the last complete step is saved."""

    def __init__(self, signum: int, checkpoint: Path | None) -> None:
        """Tell the signal, and the checkpoint to go on from; None where no step was complete yet."""
        super().__init__(f"stopped by {signal.Signals(signum).name}")
        self.checkpoint = checkpoint
        self.status = 128 + (signal.SIGINT if signum == signal.SIGINT else signal.SIGTERM)
        """The exit status: 130 for Ctrl-C, and 143 for anything else, as a scheduler sends it."""


class StoppedAtOnce(BaseException):
    """A second Ctrl-C. Lightning answers a `KeyboardInterrupt` by itself, with a status that says nothing."""


@final
class SaveOnInterrupt(Checkpoint):
    """Saves `last.ckpt` on any of `LISTENED_TO` after the running batch, and ends the training.

    That is the next moment between two batches, in a validation as well; of a step of several batches that is not
    complete nothing is saved, see `BeginAgain`. A second Ctrl-C ends at once, but for a save that is under way. With
    several processes all stop at the same batch. It is the last of the callbacks, so that what belongs to the end of an
    epoch has been done.
    """

    def __init__(self, last: SaveLast) -> None:
        self._last = last
        self._signum = 0
        self._agreed = False
        self._has_trained = False
        self._first_step = 0
        self._common = 0

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Listen as long as the context lasts; `nohup` goes on holding off SIGHUP."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {s: signal.getsignal(s) for s in LISTENED_TO}
        listened_to = [s for s in LISTENED_TO if s == signal.SIGINT or before[s] != signal.SIG_IGN]
        for signum in listened_to:
            signal.signal(signum, self._note)
        try:
            yield
        finally:
            for signum in listened_to:
                signal.signal(signum, before[signum])

    def _note(self, signum: int, frame: FrameType | None) -> None:
        if self._signum == signal.SIGINT == signum and not self._last.is_saving:
            raise StoppedAtOnce
        self._signum = signum

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Keep Lightning from answering SIGTERM by itself."""
        trainer._signal_connector.register_signal_handlers = lambda: None  # type: ignore[method-assign]

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Remember where the training begins."""
        self._first_step = trainer.global_step

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Stop before the next batch, when the numbers of the last one have been logged; or before the first one."""
        is_first = not self._has_trained and trainer.world_size == 1
        if self._agreed or (is_first and self._signum != 0):
            self._stop(trainer)

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Save, if asked to stop, but for where an epoch ends or a validation begins, which is soon enough."""
        self._has_trained = True
        if self._is_asked(trainer) and not trainer.is_last_batch and not validation_follows(trainer, batch_idx):
            self._save(trainer, "step")

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Stop before a validation; else agree on how many of its batches all processes have."""
        if trainer.sanity_checking:
            return
        self._stop_if_asked(trainer, "validation")
        own = torch.tensor(float(sum(trainer.num_val_batches)), device=trainer.strategy.root_device)
        self._common = int(trainer.strategy.reduce(own, reduce_op="min") if trainer.world_size > 1 else own)

    def on_validation_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int, dataloader_idx: int = 0
    ) -> None:
        """Do not wait for the end of a long validation."""
        if not trainer.sanity_checking and batch_idx < self._common:
            self._stop_if_asked(trainer, "validation")

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Save, if asked to stop, when all is done that ends an epoch, but for logging its numbers."""
        if self._is_asked(trainer):
            self._save(trainer, "epoch")

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Stop before the next epoch."""
        if self._agreed:
            self._stop(trainer)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Say that it was asked to stop also where it has come to its end."""
        if self._agreed:
            self._stop(trainer)

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        """Let all workers go, also those that cut training patches when a validation is broken off.

        They leave signals to this process, which would wait for them at its end.
        """
        trainer.fit_loop.teardown()

    def _is_asked(self, trainer: pl.Trainer) -> bool:
        """Return whether one of the processes was asked to stop; all of them call this at the same moment."""
        if not self._agreed:
            asked, several = self._signum != 0, trainer.world_size > 1
            self._agreed = trainer.strategy.reduce_boolean_decision(asked, all=False) if several else asked
        return self._agreed

    def _stop_if_asked(self, trainer: pl.Trainer, moment: Moment) -> None:
        if self._is_asked(trainer):
            self._save(trainer, moment)
            self._stop(trainer)

    def _save(self, trainer: pl.Trainer, moment: Moment) -> None:
        if trainer.global_step != self._first_step:  # else what was gone on from is still the newest
            self._last.save(trainer, moment)

    def _stop(self, trainer: pl.Trainer) -> None:
        path = self._last.path if trainer.global_step != self._first_step else trainer.ckpt_path
        is_trial = trainer.fast_dev_run  # type: ignore[attr-defined]  # Lightning sets it, undeclared
        raise TrainingInterrupted(self._signum or signal.SIGTERM, None if path is None or is_trial else Path(path))


@contextmanager
def signals_noted(trainer: pl.Trainer) -> Iterator[None]:
    """Let the training answer the signals that ask to stop, from before it is set up; then as before."""
    callbacks = trainer.callbacks  # type: ignore[attr-defined]  # Lightning sets it, undeclared
    (own,) = (callback for callback in callbacks if isinstance(callback, SaveOnInterrupt))
    with own.listening():
        yield
