"""A training whose loss is no number any more cannot recover."""

from __future__ import annotations

from math import isfinite
from typing import Any, final

import pytorch_lightning as pl

from connectomics.errors import UserError


class TrainingDivergedError(UserError):
    """The loss became NaN or infinite."""


@final
class StopWhenDiverged(pl.Callback):
    """Ends a training whose loss is NaN or infinite; looks as often as the loss is logged."""

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Look at the loss of this batch when it is due."""
        if trainer.global_step % trainer.log_every_n_steps != 0:
            return
        loss = float(trainer.callback_metrics.get("train_loss_total_step", 0.0))
        if not isfinite(loss):
            raise TrainingDivergedError(
                f"the loss is {loss} at step {trainer.global_step}; the last checkpoint is from before. Try a smaller "
                "optimization.optimizer.lr, optimization.gradient_clip_val=1.0 or optimization.precision=32-true"
            )
