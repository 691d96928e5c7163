"""The loss of an epoch, which ranks checkpoints: of all of its batches, also when it was broken off on the way."""

from __future__ import annotations

from typing import Any, final

import pytorch_lightning as pl
import torch
from torch import Tensor

from connectomics.training.unfinished import is_between_steps


@final
class EpochLoss(pl.Callback):
    """Logs `train_loss_total_epoch`, the mean loss of the batches of an epoch; one that is not finite is left out.

    Such a batch belongs to a step that is skipped: it tells nothing of the weights, and one alone would make the
    number of the epoch NaN. A batch is that of all processes together, and so all have the same sums, which are part
    of a checkpoint.
    """

    def __init__(self) -> None:
        self._epoch = -1
        self._sums = torch.zeros(2)  # of the finite losses, and how many there are
        self._sums_of_steps = self._sums  # without the batches of a step that is under way
        self._grew = False

    def state_dict(self) -> dict[str, Any]:
        """Return the sums of the running epoch, of its complete steps."""
        return {"epoch": self._epoch, "sums": self._sums_of_steps.tolist(), "grew": self._grew}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on with the sums of a broken epoch; older checkpoints do not know whether they have been logged."""
        self._epoch, self._sums = state_dict["epoch"], torch.tensor(state_dict["sums"])
        self._sums_of_steps, self._grew = self._sums, state_dict.get("grew", False)

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Begin anew with each epoch, and let what is logged stand at the step that it belongs to.

        Lightning counts one too many for its logger after a checkpoint from the end of an epoch.
        """
        trainer.fit_loop.epoch_loop._batches_that_stepped = trainer.global_step
        if trainer.current_epoch != self._epoch:
            self._epoch, self._sums = trainer.current_epoch, torch.zeros(2)
            self._sums_of_steps = self._sums

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Add the loss of a batch; the device is not asked."""
        assert isinstance(pl_module.batch_loss, Tensor)
        loss = pl_module.batch_loss.float()
        finite = loss.isfinite()
        self._sums = self._sums.to(loss.device) + torch.stack([torch.where(finite, loss, 0.0), finite.float()])
        self._grew = True
        if is_between_steps(trainer):
            self._sums_of_steps = self._sums

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Log the mean, before any checkpoint that does not log it again; Lightning would do so after them."""
        if self._grew:
            total, count = self._sums
            pl_module.log("train_loss_total_epoch", total / count, logger=False)
            for logger in trainer.loggers:
                logger.log_metrics({"train_loss_total_epoch": float(total / count)}, trainer.global_step - 1)
        self._grew = False
