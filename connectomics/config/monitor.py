"""`monitor`: what is saved, logged and shown while training."""

from dataclasses import dataclass, field
from typing import Literal


@dataclass(kw_only=True, slots=True)
class CheckpointConfig:
    """`monitor.checkpoint`: which checkpoints stay in `checkpoints/`; `last.ckpt` is always the newest."""

    monitor: str = "train_loss_total_epoch"
    """The logged number that ranks checkpoints."""
    mode: Literal["min", "max"] = "min"
    """Whether small or large numbers are good."""
    save_top_k: int = 3
    """How many of the best checkpoints are kept; -1 keeps all, 0 none."""
    save_every_n_epochs: int = 10
    """Epochs between two checkpoints that compete for the best."""
    save_last: bool = True
    """Write `last.ckpt` before every validation and after every epoch; after the last step it is written anyway."""
    save_every_minutes: float | None = 10.0
    """Minutes after which `last.ckpt` is written again at the latest, after the running step; null: not by time."""
    checkpoint_filename: str = "epoch={epoch:04d}-step={step:06d}-loss={train_loss_total_epoch:.4f}"
    """Name of a checkpoint, with logged numbers in braces."""


@dataclass(kw_only=True, slots=True)
class ScalarsConfig:
    """`monitor.logging.scalar`."""

    loss_every_n_steps: int = 10
    """Optimizer steps between two entries of losses and learning rate in TensorBoard."""
    max_cremi_patches: int = 64
    """How many validation patches, evenly spread, the CREMI distance is measured on; 0 measures none."""


@dataclass(kw_only=True, slots=True)
class ImagesConfig:
    """`monitor.logging.images`: raw, target and probability side by side, in TensorBoard."""

    max_images: int = 8
    """How many validation patches are shown, always the same ones; 0 shows none."""
    num_slices: int = 9
    """How many sections of each patch are shown, evenly spread over its depth."""
    log_every_n_epochs: int = 1
    """Epochs between two sets of pictures."""


@dataclass(kw_only=True, slots=True)
class LoggingConfig:
    """`monitor.logging`."""

    loggers: list[Literal["tensorboard", "csv", "wandb", "mlflow"]] = field(default_factory=lambda: ["tensorboard"])
    """Where the numbers go. Pictures and curves go to TensorBoard alone; wandb and mlflow are extras to install."""
    scalar: ScalarsConfig = field(default_factory=ScalarsConfig)
    images: ImagesConfig = field(default_factory=ImagesConfig)


@dataclass(kw_only=True, slots=True)
class EarlyStoppingConfig:
    """`monitor.early_stopping`: end a training that no longer improves."""

    enabled: bool = False
    """Whether a training ends early at all."""
    monitor: str = "val_loss_total"
    """The logged number that should improve."""
    mode: Literal["min", "max"] = "min"
    """Whether small or large numbers are good."""
    patience: int = 20
    """How many epochs without improvement end the training."""
    min_delta: float = 0.0
    """Smallest change that counts as an improvement."""


@dataclass(kw_only=True, slots=True)
class MonitorConfig:
    """`monitor`: what is saved, logged and shown while training."""

    checkpoint: CheckpointConfig = field(default_factory=CheckpointConfig)
    logging: LoggingConfig = field(default_factory=LoggingConfig)
    early_stopping: EarlyStoppingConfig = field(default_factory=EarlyStoppingConfig)
