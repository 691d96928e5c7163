"""Which checkpoints are written, and that the last step is validated before them."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any, Literal, final

import pytorch_lightning as pl
from pytorch_lightning.callbacks import Checkpoint, ModelCheckpoint

from connectomics.config.monitor import CheckpointConfig
from connectomics.training.bad_steps import SkipBadSteps
from connectomics.training.loggers import flush_loggers
from connectomics.training.unfinished import is_between_steps


@final
class ValidateLastStep(pl.Callback):
    """Ends the last epoch with a validation, however short it is; one that is whole is validated once, as ever."""

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Tell Lightning the batch of this epoch after which it validates: its last, or that of the last step."""
        every = trainer.accumulate_grad_batches
        left = (trainer.max_steps - trainer.global_step) * every - batch_idx % every
        trainer.val_check_batch = min(int(trainer.num_training_batches), batch_idx + left)


Moment = Literal["step", "validation", "epoch"]
"""Behind what a checkpoint is written: a step, a step that is to be validated, or an epoch with all that ends it."""


@final
class SaveLast(Checkpoint):
    """Writes `last.ckpt` before each validation, after each epoch, by time, and after the last step in any case.

    It waits where the last steps had to be skipped: weights from which nothing finite comes do not replace older ones.
    """

    def __init__(self, path: Path, config: CheckpointConfig, steps: SkipBadSteps) -> None:
        self.path = path
        self.is_saving = False
        self._every_epoch, self._minutes, self._steps = config.save_last, config.save_every_minutes, steps
        self._saved: tuple[int, Moment] = (-1, "step")
        self._saved_at = 0.0

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Begin to count the minutes."""
        self._saved_at = time.monotonic()

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Save when it is time, in front of a step: the numbers of the one before it have been logged by now."""
        if self._minutes is None or batch_idx == 0 or not is_between_steps(trainer):
            return
        due = time.monotonic() - self._saved_at >= 60 * self._minutes
        if trainer.world_size > 1:
            due = trainer.strategy.reduce_boolean_decision(due, all=False)
        if due and self._steps.is_worth_saving():
            self.save(trainer, "step")

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Save before a validation, which may take long, and which a resumed training begins again."""
        if self._every_epoch and not trainer.sanity_checking and self._steps.is_worth_saving():
            self.save(trainer, "validation")

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Save after an epoch."""
        if self._every_epoch and self._steps.is_worth_saving():
            self.save(trainer, "epoch")

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Save after the last step, also where that single one was skipped; it is told when there is no last step.

        Raises:
            TrainingDivergedError: If the training ends in steps that were skipped.
        """
        if self._steps.in_a_row <= 1:
            self.save(trainer, "epoch")
        if (complaint := self._steps.at_the_end(trainer)) is not None:
            raise complaint

    def on_save_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Write down what was logged before any checkpoint that does not log it again."""
        flush_loggers(trainer)

    def save(self, trainer: pl.Trainer, moment: Moment) -> None:
        """Write `last.ckpt`, unless it is of this very moment already, or nothing is to be written at all."""
        is_trial = trainer.fast_dev_run  # type: ignore[attr-defined]  # Lightning sets it, undeclared
        if (trainer.global_step, moment) == self._saved or is_trial:
            return
        self.is_saving = True
        trainer.save_checkpoint(self.path)
        self.is_saving = False
        self._saved, self._saved_at = (trainer.global_step, moment), time.monotonic()


@final
class SaveBest(ModelCheckpoint):
    """Keeps the best checkpoints by a logged number; they compete every few epochs, and after the last step."""

    def __init__(self, config: CheckpointConfig, folder: Path, steps: SkipBadSteps) -> None:
        super().__init__(
            dirpath=folder,
            filename=config.checkpoint_filename,
            auto_insert_metric_name=False,
            monitor=config.monitor,
            mode=config.mode,
            save_top_k=config.save_top_k,
            every_n_epochs=config.save_every_n_epochs,
            save_on_train_epoch_end=True,
            save_last=False,
        )
        self._steps = steps

    @property
    def state_key(self) -> str:
        """The name of its state in a checkpoint, as Lightning's own class has it."""
        return super().state_key.replace(SaveBest.__qualname__, ModelCheckpoint.__qualname__)

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on with those of the best that still lie in the run's folder, which may have been moved."""
        assert self.dirpath is not None
        scores = state_dict["best_k_models"]
        places = {os.path.join(self.dirpath, os.path.basename(path)): path for path in scores}
        best = {place: scores[path] for place, path in places.items() if os.path.exists(place)}
        ranked = sorted(best, key=best.__getitem__, reverse=self.mode == "max")
        ranked = ranked if self.save_top_k < 0 else ranked[: self.save_top_k]
        found = dict(state_dict, dirpath=self.dirpath, best_k_models={place: best[place] for place in ranked})
        found |= {
            "best_model_path": "",
            "best_model_score": None,
            "kth_best_model_path": "",
            "kth_value": self.kth_value,
        }
        if ranked:
            found |= {"best_model_path": ranked[0], "best_model_score": best[ranked[0]]}
            found |= {"kth_best_model_path": ranked[-1], "kth_value": best[ranked[-1]]}
        super().load_state_dict(found)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Let the weights compete, unless the last step had to be skipped, or they have competed before a resume.

        Nor do they where the number is that of a batch, and a resumed training had only the validation left to do.
        """
        if not self._steps.is_worth_saving() or self.monitor not in trainer.callback_metrics:
            return
        super().on_train_epoch_end(trainer, pl_module)
        if trainer.global_step >= trainer.max_steps and not self._should_skip_saving_checkpoint(trainer):
            self._save_topk_checkpoint(trainer, self._monitor_candidates(trainer))
