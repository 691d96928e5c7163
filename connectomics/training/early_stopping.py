"""End a training that no longer improves."""

from __future__ import annotations

from typing import final

import pytorch_lightning as pl
from pytorch_lightning.callbacks import EarlyStopping

from connectomics.config.monitor import EarlyStoppingConfig


@final
class StopWhenNoBetter(EarlyStopping):
    """Lightning's `EarlyStopping`, which a training can go on with that was saved at the end of an epoch."""

    def __init__(self, config: EarlyStoppingConfig) -> None:
        super().__init__(
            config.monitor,
            config.min_delta,
            config.patience,
            mode=config.mode,
            strict=True,
            check_finite=False,  # a distance is nan as long as nothing is found; SkipBadSteps looks at the loss
        )

    @property
    def state_key(self) -> str:
        """The name of its state in a checkpoint, as Lightning's own class has it."""
        return super().state_key.replace(StopWhenNoBetter.__qualname__, EarlyStopping.__qualname__)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Compare the epoch with the best one; Lightning calls this anew, without numbers, after a resume."""
        if self.monitor in trainer.callback_metrics:
            super().on_train_epoch_end(trainer, pl_module)
