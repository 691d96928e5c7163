"""Lightning's Trainer, assembled from the settings."""

from __future__ import annotations

from pathlib import Path

import pytorch_lightning as pl
from pytorch_lightning.callbacks import Callback

from connectomics.training.bad_steps import SkipBadSteps
from connectomics.training.checkpoints import AtomicCheckpointIO
from connectomics.training.cluster import join_processes
from connectomics.training.early_stopping import StopWhenNoBetter
from connectomics.training.ema import WeightAverage
from connectomics.training.epoch_loss import EpochLoss
from connectomics.training.images import ValidationImages
from connectomics.training.interruption import SaveOnInterrupt
from connectomics.training.learning import Learning
from connectomics.training.loggers import build_loggers
from connectomics.training.progress import TrainingProgress
from connectomics.training.saving import SaveBest, SaveLast, ValidateLastStep
from connectomics.training.unfinished import BeginAgain
from connectomics.training.validation_scores import ValidationScores


def build_trainer(
    learning: Learning, checkpoints: Path, logs: Path, fast_dev_run: int = 0, resumed_step: int | None = None
) -> pl.Trainer:
    """Build the Trainer of a run.

    Args:
        learning: What is learnt, and how.
        checkpoints: Folder for checkpoints.
        logs: Folder for TensorBoard and other loggers.
        fast_dev_run: Batches of training and of validation to try, with nothing written; 0 is a real run.
        resumed_step: Step of the checkpoint that the run goes on from; later entries of its log are dropped.
    """
    devices, settings = learning.devices, learning.optimization
    several = devices.count > 1
    title = str(learning.settings["experiment_name"])
    return pl.Trainer(
        accelerator=devices.accelerator,
        devices=devices.count,
        strategy="ddp" if several else "auto",
        sync_batchnorm=several and learning.network.sync_batchnorm,
        precision=settings.precision,
        max_steps=settings.max_steps,
        max_epochs=-1,
        accumulate_grad_batches=settings.accumulate_grad_batches,
        gradient_clip_val=settings.gradient_clip_val or None,
        deterministic=settings.deterministic,
        benchmark=settings.benchmark,
        log_every_n_steps=min(learning.monitor.logging.scalar.loss_every_n_steps, settings.n_steps_per_epoch),
        num_sanity_val_steps=1,
        limit_val_batches=1.0 if learning.validates else 0,
        use_distributed_sampler=False,
        enable_model_summary=False,
        logger=build_loggers(learning.monitor.logging.loggers, logs, title, resumed_step),
        callbacks=_callbacks(learning, checkpoints),
        plugins=[AtomicCheckpointIO(), join_processes()],
        default_root_dir=logs / "unused",  # where Lightning would look for checkpoints that nobody named
        fast_dev_run=fast_dev_run or False,
    )


def _callbacks(learning: Learning, checkpoints: Path) -> list[Callback]:
    monitor, settings = learning.monitor, learning.optimization
    samples = learning.batch_size * settings.accumulate_grad_batches * learning.devices.count
    steps = SkipBadSteps(settings.max_skipped_steps, checkpoints)
    callbacks: list[Callback] = [WeightAverage(settings.ema)] if settings.ema.enabled else []
    callbacks += [steps, EpochLoss()]
    callbacks += [ValidationScores(learning.decoding, monitor.logging.scalar.max_cremi_patches, learning.rule)]
    foreground = learning.target.foreground
    callbacks += [ValidationImages(monitor.logging.images, foreground, learning.decoding, learning.rule)]
    callbacks += [TrainingProgress(settings.max_steps, samples)]
    if monitor.early_stopping.enabled:
        callbacks.append(StopWhenNoBetter(monitor.early_stopping))
    callbacks += [ValidateLastStep(), BeginAgain()]
    last = SaveLast(checkpoints / "last.ckpt", monitor.checkpoint, steps)
    return [*callbacks, SaveBest(monitor.checkpoint, checkpoints, steps), last, SaveOnInterrupt(last)]
