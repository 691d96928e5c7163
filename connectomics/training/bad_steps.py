"""Steps that would spoil the weights are not taken, and a training that takes none any more ends with a reason."""

from __future__ import annotations

from pathlib import Path
from typing import Any, final

import pytorch_lightning as pl
import torch
from torch import Tensor
from torch.optim import Optimizer

from connectomics.data.datamodule import VolumesDataModule
from connectomics.errors import CheckpointError, UserError
from connectomics.training.checkpoints import MODEL_PREFIX, is_finite, read_checkpoint

LARGEST = 1e18
"""A gradient beyond this has a square that float32 does not hold, which an optimizer would remember for ever."""

ADVICE = "Try a smaller optimization.optimizer.lr, optimization.gradient_clip_val=1.0 or optimization.precision=32-true"


class TrainingDivergedError(UserError):
    """Loss, gradient or weights became NaN or infinite, and stayed so."""


@final
class SkipBadSteps(pl.Callback):
    """Leaves out every optimizer step whose loss or gradient is not finite, and never lets such weights be saved.

    A step that is left out changes nothing: neither weights nor the optimizer's memory, nor the running statistics of
    batch normalisation, which the forward pass has changed already and which are put back. It counts as a step all the
    same: the learning rate goes on, and the average of the weights moves towards them as they are. How many there were
    is logged as `skipped_steps`. After `most` in a row the training ends.
    """

    def __init__(self, most: int, checkpoints: Path) -> None:
        """Prepare to skip `most` steps in a row; the checkpoints of the run lie in the folder `checkpoints`."""
        self._most, self._checkpoints = most, checkpoints
        self._skipped = 0
        self.in_a_row = 0
        self.loss_is_finite = True
        """Whether the loss of the last step was finite; a gradient of 16-mixed may overflow where it is."""
        self._losses: list[Tensor] = []
        self._buffers: dict[str, Tensor] = {}

    def state_dict(self) -> dict[str, Any]:
        """Return the counts, which a resumed training goes on with."""
        return {"skipped": self._skipped, "in_a_row": self.in_a_row}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on counting."""
        self._skipped, self.in_a_row = state_dict["skipped"], state_dict["in_a_row"]

    @torch.no_grad()
    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Remember the running statistics as they are before the first batch of a step."""
        if self._losses:
            return
        current = _statistics(pl_module)
        if current.keys() != self._buffers.keys():
            self._buffers = {name: buffer.clone() for name, buffer in current.items()}
        for name, buffer in current.items():
            self._buffers[name].copy_(buffer)

    def on_before_backward(self, trainer: pl.Trainer, pl_module: pl.LightningModule, loss: Tensor) -> None:
        """Remember the loss of each batch of a step."""
        self._losses.append(loss.detach())

    @torch.no_grad()
    def on_before_optimizer_step(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, optimizer: Optimizer
    ) -> None:
        """Look at loss, gradient and running statistics; where one is not finite, the step has no gradient."""
        losses, self._losses = self._losses, []
        step_is_good, self.loss_is_finite = _look(trainer, pl_module, losses)
        if step_is_good:
            self.in_a_row = 0
            return
        self._skipped += 1
        self.in_a_row += 1
        for name, buffer in _statistics(pl_module).items():
            buffer.copy_(self._buffers[name])
        optimizer.zero_grad(set_to_none=True)
        if self.in_a_row >= self._most:
            raise TrainingDivergedError(
                f"{self._what(losses)} at step {trainer.global_step + 1}; steps skipped in a row: {self.in_a_row}, "
                f"the limit of optimization.max_skipped_steps. {_tell_batch(trainer, losses)}"
                f"{self._tell_good(trainer)} {ADVICE}"
            )

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Log how many steps were skipped so far."""
        pl_module.log("skipped_steps", torch.tensor(float(self._skipped)))

    def on_save_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Save the running statistics as they were before a step that is under way, and nothing that is not finite.

        The average of the weights is looked at too, when it was put there before.

        Raises:
            TrainingDivergedError: With the last checkpoint that is good.
        """
        if self._losses:
            checkpoint["state_dict"] |= {f"{MODEL_PREFIX}{name}": buffer for name, buffer in self._buffers.items()}
        if not is_finite(checkpoint):
            raise TrainingDivergedError(
                f"the weights are not finite at step {trainer.global_step}, and were not saved."
                f"{self._tell_good(trainer)} {ADVICE}"
            )

    def is_worth_saving(self) -> bool:
        """Return whether the last step was taken: weights from which nothing finite comes may be the reason."""
        return self.in_a_row == 0

    def at_the_end(self, trainer: pl.Trainer) -> TrainingDivergedError | None:
        """Return what is to be said when the training is over, and its last step was none."""
        if self.in_a_row == 0 or (self.in_a_row == 1 and self.loss_is_finite):
            return None
        number = "one" if self.in_a_row == 1 else str(self.in_a_row)
        what = "the gradient is not finite" if self.loss_is_finite else "the loss is not finite"
        return TrainingDivergedError(
            f"{what} at step {trainer.global_step}, where the training ends; the last {number} of its steps had to be "
            f"skipped.{self._tell_good(trainer)} {ADVICE}"
        )

    def _what(self, losses: list[Tensor]) -> str:
        if self.loss_is_finite:
            return "the gradient is not finite"
        values = [float(loss) for loss in losses]
        bad = [value for value in values if value - value != 0]
        return f"the loss is {bad[0] if bad else 'not finite on another process'}"

    def _tell_good(self, trainer: pl.Trainer) -> str:
        good = _last_good_checkpoint(self._checkpoints, trainer.ckpt_path)
        if good is None:
            return " There is no checkpoint yet."
        path, step = good
        return f" The last good checkpoint is of step {step}: {path}."


def _statistics(module: pl.LightningModule) -> dict[str, Tensor]:
    """Return what a forward pass changes in the network, by name, sharing memory with it."""
    return dict(module.get_submodule("model").named_buffers())


def _look(trainer: pl.Trainer, module: pl.LightningModule, losses: list[Tensor]) -> tuple[bool, bool]:
    """Return whether the step, and whether its loss, is finite on all processes; the device is asked once."""
    gradients = [p.grad for p in module.parameters() if p.grad is not None]
    statistics = [b for b in _statistics(module).values() if b.is_floating_point()]
    loss_is_bad = ~torch.stack([loss.isfinite().all() for loss in losses]).all() if losses else torch.tensor(False)
    loss_is_bad = loss_is_bad.to(module.device)
    bad = [loss_is_bad]
    if gradients:
        largest = torch.stack(torch._foreach_norm(gradients, float("inf")))
        bad.append(~(largest < LARGEST).all())  # also where it is NaN
    if statistics:
        bad.append(~torch.stack(torch._foreach_norm(statistics, float("inf"))).isfinite().all())
    flags = torch.stack([torch.stack(bad).any(), loss_is_bad]).float()
    if trainer.world_size > 1:
        flags = trainer.strategy.reduce(flags, reduce_op="sum")
    step, loss = (flags == 0).tolist()
    return step, loss


def _tell_batch(trainer: pl.Trainer, losses: list[Tensor]) -> str:
    """Say where the patches of this process's batch come from, the first one whose loss is not finite."""
    data = trainer.datamodule  # type: ignore[attr-defined]  # Lightning sets it, undeclared
    loader = trainer.train_dataloader
    if not isinstance(data, VolumesDataModule) or loader is None:
        return ""
    bad = [i for i, loss in enumerate(losses) if not bool(loss.isfinite())]
    back = len(losses) - 1 - bad[0] if bad else 0
    size = data.config.dataloader.batch_size
    first = loader.state_dict()["patches"] + (trainer.global_rank - back * trainer.world_size) * size
    patches, numbers = data.training_patches(), range(first, first + size)
    origins = [patches.origin(number) for number in numbers]
    images = torch.stack([patches[number]["image"] for number in numbers])
    places = ", ".join(f"{location} at {start}" for location, start in origins)
    crop = data.config.train
    where = " (z, y, x) of the crop" if crop.crop is not None and not crop.see_beyond_crop else " (z, y, x)"
    low, high = float(images.min()), float(images.max())
    grey = f"grey values from {low:.4g} to {high:.4g}" if images.isfinite().all() else "grey values that are not finite"
    return f"The batch is cut from {places}{where}, with {grey} after scaling."


def _last_good_checkpoint(folder: Path, resumed: Any) -> tuple[Path, int] | None:
    """Return the newest checkpoint that can be read and is finite, and its step; also the one that was gone on from."""
    paths = sorted(folder.glob("*.ckpt"), key=lambda path: path.stat().st_mtime, reverse=True)
    if resumed is not None:
        paths.append(Path(resumed))
    for path in paths:
        try:
            checkpoint = read_checkpoint(path)
        except CheckpointError:
            continue
        if is_finite(checkpoint):
            return path, int(checkpoint["global_step"])
    return None
