"""A checkpoint from the midst of a step or of a validation: what a training needs to begin that again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, final

import pytorch_lightning as pl
from pytorch_lightning.loops.progress import _ProcessedTracker

from connectomics.data.loader import TrainingLoader

State = dict[str, Any]


def is_between_steps(trainer: pl.Trainer) -> bool:
    """Return whether the batches that have been trained on are those of complete optimizer steps."""
    return _batches_of_a_step(trainer) == 0


def validation_follows(trainer: pl.Trainer, batch_idx: int) -> bool:
    """Return whether this batch of training, counted in its epoch, is followed by a validation."""
    return bool(trainer.enable_validation) and batch_idx + 1 == trainer.val_check_batch


def owes_validation(checkpoint: Mapping[str, Any]) -> bool:
    """Return whether a checkpoint was written before the end of a validation, with which its training goes on."""
    counts = checkpoint["loops"]["fit_loop"]["epoch_loop.val_loop.batch_progress"]["total"]
    return bool(counts["processed"] < counts["started"] == counts["ready"])


@final
class BeginAgain(pl.Callback):
    """Turns what is saved in the midst of something into the state before it.

    Of a step that its last batches are missing from, no batch is counted: the gradient that they have added up is in
    no checkpoint. A validation begins anew, also that of the last step, when there is nothing left to train.
    """

    def __init__(self) -> None:
        self._lifted_limit: int | None = None

    def on_save_checkpoint(self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: State) -> None:
        """Count back, where something is under way."""
        progress = checkpoint["loops"]["fit_loop"]
        if trainer.validating:  # as Lightning counts in the first batch of a validation
            for name in ("total", "current"):
                progress["epoch_loop.val_loop.batch_progress"][name] |= {
                    "ready": 1, "started": 1, "processed": 0, "completed": 0
                }  # fmt: skip
            return
        counted = progress["epoch_loop.batch_progress"]
        if counted["current"]["ready"] > counted["current"]["started"]:  # in front of a batch: as behind the last one
            for counts in (counted["total"], counted["current"]):
                counts |= {"ready": counts["started"], "completed": counts["completed"] - 1}
            counted["is_last_batch"] = False
        if (batches := _batches_of_a_step(trainer)) > 0:
            _count_back(progress, batches, trainer.train_dataloader)

    def on_load_checkpoint(self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: State) -> None:
        """Let the loop of training begin, where only a validation is left to do in it."""
        if owes_validation(checkpoint) and checkpoint["global_step"] >= trainer.max_steps:
            self._lifted_limit = trainer.max_steps
            trainer.fit_loop.epoch_loop.max_steps = checkpoint["global_step"] + 1

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Let a validation that was broken off come before the next step, however short its epoch was."""
        loop = trainer.fit_loop.epoch_loop
        if loop.val_loop.restarted_mid_evaluation:
            trainer.val_check_batch = loop.batch_progress.current.ready

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Count a validation that begins again from nothing, and put the end of the training back."""
        trainer.fit_loop.epoch_loop.val_loop.batch_progress.total.reset()
        if self._lifted_limit is not None:
            trainer.fit_loop.epoch_loop.max_steps, self._lifted_limit = self._lifted_limit, None


def _batches_of_a_step(trainer: pl.Trainer) -> int:
    """Return how many batches of a step that is not complete yet have been trained on."""
    loop = trainer.fit_loop.epoch_loop
    counts = loop.batch_progress.current
    assert isinstance(counts, _ProcessedTracker)
    if counts.ready == counts.processed and loop._num_ready_batches_reached():
        return 0  # the step of an epoch's last batch is complete, however many it has
    return counts.processed % trainer.accumulate_grad_batches


def _count_back(progress: State, batches: int, loader: Any) -> None:
    """Count some batches less, as right after the last one before them, or after the epoch before."""
    counted = progress["epoch_loop.batch_progress"]
    is_first_step = counted["current"]["processed"] == batches
    for counts in (counted["total"], counted["current"]):
        for name in ("ready", "started", "processed"):
            counts[name] -= batches
        counts["completed"] = counts["processed"] - (0 if is_first_step else 1)
    assert isinstance(loader, TrainingLoader)
    progress["state_dict"]["combined_loader"] = [loader.state_before(batches)]
