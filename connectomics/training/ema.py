"""An exponential moving average of the weights."""

from __future__ import annotations

from typing import Any, final

import pytorch_lightning as pl
import torch
from torch import Tensor

from connectomics.config.optimization import EMAConfig
from connectomics.training.checkpoints import EMA_KEY

State = dict[str, Tensor]


@final
class WeightAverage(pl.Callback):
    """Keeps an average of the network's weights, and validates with it.

    Parameters and the running statistics of batch normalisation are averaged alike; whole numbers are copied. For
    the first `warmup_steps` the average is a copy of the weights: an average that begins at random weights would
    remember them. A checkpoint always holds the raw weights as `state_dict` and the average beside them, also when
    it is written in the middle of a validation.
    """

    def __init__(self, config: EMAConfig) -> None:
        self._config = config
        self._average: State = {}
        self._raw: State | None = None
        self._steps = 0

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Begin with a copy of the weights, unless a checkpoint brought an average."""
        current = _state(pl_module)
        if not self._average:
            self._average = {name: tensor.clone() for name, tensor in current.items()}
        self._average = {name: tensor.to(current[name].device) for name, tensor in self._average.items()}

    @torch.no_grad()
    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Move the average towards the weights, once for each optimizer step."""
        if trainer.global_step == self._steps:
            return
        self._steps = trainer.global_step
        decay = self._config.decay if self._steps > self._config.warmup_steps else 0.0
        current = _state(pl_module)
        floating = [name for name, tensor in current.items() if tensor.is_floating_point()]
        averaged, latest = [self._average[name] for name in floating], [current[name] for name in floating]
        torch._foreach_lerp_(averaged, latest, 1.0 - decay)
        for name in current.keys() - set(floating):
            self._average[name].copy_(current[name])

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Lend the average to the network."""
        if self._config.validate_with_ema and self._raw is None and self._average:
            self._raw = {name: tensor.clone() for name, tensor in _state(pl_module).items()}
            _load(pl_module, self._average)

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Give the network its own weights back."""
        if self._raw is not None:
            _load(pl_module, self._raw)
            self._raw = None

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        """Give the network its own weights back, also when the validation was broken off."""
        self.on_validation_end(trainer, pl_module)

    def on_save_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Put the average beside the raw weights."""
        checkpoint[EMA_KEY] = {"weights": dict(self._average), "steps": self._steps}
        if self._raw is not None:
            checkpoint["state_dict"] |= {f"model.{name}": tensor for name, tensor in self._raw.items()}

    def on_load_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Go on with the average of the checkpoint; one without an average gives its weights."""
        prefix = "model."
        weights = {name[len(prefix) :]: w for name, w in checkpoint["state_dict"].items() if name.startswith(prefix)}
        saved = checkpoint.get(EMA_KEY, {"weights": weights, "steps": checkpoint["global_step"]})
        self._average = {name: tensor.clone() for name, tensor in saved["weights"].items()}
        self._steps = saved["steps"]


def _state(module: pl.LightningModule) -> State:
    """Return the network's parameters and buffers, by name, sharing memory with it."""
    return {name: tensor.detach() for name, tensor in module.get_submodule("model").state_dict().items()}


@torch.no_grad()
def _load(module: pl.LightningModule, state: State) -> None:
    for name, tensor in _state(module).items():
        tensor.copy_(state[name])
