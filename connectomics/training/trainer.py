"""Lightning's Trainer, assembled from the settings."""

from __future__ import annotations

from pathlib import Path
from typing import Any, final

import pytorch_lightning as pl
from pytorch_lightning.callbacks import Callback, Checkpoint, EarlyStopping, ModelCheckpoint
from pytorch_lightning.loggers import TensorBoardLogger

from connectomics.config import Config
from connectomics.config.monitor import CheckpointConfig
from connectomics.data.targets import build_target
from connectomics.training.checkpoints import AtomicCheckpointIO
from connectomics.training.devices import choose_devices
from connectomics.training.divergence import StopWhenDiverged
from connectomics.training.ema import WeightAverage
from connectomics.training.images import ValidationImages
from connectomics.training.interruption import SaveOnInterrupt
from connectomics.training.progress import TrainingProgress
from connectomics.training.validation_scores import ValidationScores


@final
class SaveLast(Checkpoint):
    """Writes `last.ckpt` after every epoch when `save_last` is set, and after the last step in any case."""

    def __init__(self, path: Path, every_epoch: bool) -> None:
        self._path, self._every_epoch = path, every_epoch
        self._saved_step = -1

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Save after an epoch."""
        if self._every_epoch:
            self._save(trainer)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Save after the last step."""
        self._save(trainer)

    def _save(self, trainer: pl.Trainer) -> None:
        if trainer.global_step != self._saved_step and not trainer.fast_dev_run:
            self._saved_step = trainer.global_step
            trainer.save_checkpoint(self._path)


def build_trainer(
    config: Config, checkpoints: Path, logs: Path, fast_dev_run: int = 0, resumed_step: int | None = None
) -> pl.Trainer:
    """Build the Trainer of a run.

    Args:
        config: The settings.
        checkpoints: Folder for checkpoints.
        logs: Folder for TensorBoard.
        fast_dev_run: Batches of training and of validation to try, with nothing written; 0 is a real run.
        resumed_step: Step of the checkpoint that the run goes on from; later entries of its log are dropped.
    """
    devices = choose_devices(config.system)
    settings = config.optimization
    several = devices.count > 1
    logger = TensorBoardLogger(logs, name="", version="", default_hp_metric=False, **_purge(resumed_step))
    return pl.Trainer(
        accelerator=devices.accelerator,
        devices=devices.count,
        strategy="ddp" if several else "auto",
        precision=settings.precision,
        max_steps=settings.max_steps,
        max_epochs=-1,
        accumulate_grad_batches=settings.accumulate_grad_batches,
        gradient_clip_val=settings.gradient_clip_val or None,
        deterministic=settings.deterministic,
        benchmark=settings.benchmark,
        log_every_n_steps=min(config.monitor.logging.scalar.loss_every_n_steps, settings.n_steps_per_epoch),
        num_sanity_val_steps=1,
        limit_val_batches=1.0 if config.data.val.image else 0,
        use_distributed_sampler=False,
        enable_model_summary=False,
        logger=logger,
        callbacks=_callbacks(config, checkpoints, devices.count),
        plugins=[AtomicCheckpointIO()],
        fast_dev_run=fast_dev_run or False,
    )


def _purge(resumed_step: int | None) -> dict[str, Any]:
    return {} if resumed_step is None else {"purge_step": resumed_step}


def _callbacks(config: Config, checkpoints: Path, processes: int) -> list[Callback]:
    monitor, settings = config.monitor, config.optimization
    samples = config.data.dataloader.batch_size * settings.accumulate_grad_batches * processes
    last = checkpoints / "last.ckpt"
    callbacks: list[Callback] = [WeightAverage(settings.ema)] if settings.ema.enabled else []
    shown = build_target(config.data.target).foreground
    callbacks += [ValidationScores(config), ValidationImages(monitor.logging.images, shown)]
    callbacks += [TrainingProgress(settings.max_steps, samples)]
    if monitor.early_stopping.enabled:
        stopping = monitor.early_stopping
        callbacks.append(EarlyStopping(
            stopping.monitor, stopping.min_delta, stopping.patience, mode=stopping.mode, strict=True,
            check_finite=False,  # a distance is nan as long as nothing is found; StopWhenDiverged looks at the loss
        ))  # fmt: skip
    callbacks += [StopWhenDiverged(), SaveOnInterrupt(last), _best_checkpoints(monitor.checkpoint, checkpoints)]
    return [*callbacks, SaveLast(last, monitor.checkpoint.save_last)]


def _best_checkpoints(config: CheckpointConfig, folder: Path) -> ModelCheckpoint:
    return ModelCheckpoint(
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
