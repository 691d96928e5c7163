"""Where the numbers of a training go: TensorBoard, a table, Weights & Biases, MLflow."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path

import pytorch_lightning as pl
from pytorch_lightning.loggers import CSVLogger, Logger, MLFlowLogger, TensorBoardLogger, WandbLogger
from torch.utils.tensorboard import SummaryWriter

from connectomics.errors import ConfigError

Build = Callable[[Path, str, int | None], Logger]
"""Folder of the logs, name of the experiment, and the step that a training goes on from, to the logger."""


def _tensorboard(logs: Path, title: str, resumed_step: int | None) -> Logger:
    """Return TensorBoard's logger, which drops entries behind the step that the training goes on from."""
    if resumed_step is None:
        return TensorBoardLogger(logs, name="", version="", default_hp_metric=False)
    return TensorBoardLogger(logs, name="", version="", default_hp_metric=False, purge_step=resumed_step)


LOGGERS: Mapping[str, Build] = {
    "tensorboard": _tensorboard,
    # Lightning deletes the table that it finds: each part of a training has one of its own
    "csv": lambda logs, title, step: CSVLogger(logs, name="csv", version=f"from_step_{step or 0}"),
    "wandb": lambda logs, title, step: WandbLogger(project=title, name=logs.parent.name, save_dir=logs),
    "mlflow": lambda logs, title, step: MLFlowLogger(title, run_name=logs.parent.name, save_dir=str(logs / "mlruns")),
}
"""`monitor.logging.loggers[]` to the logger. Server and account are those of each library's own variables."""

EXTRAS = ("wandb", "mlflow")
"""Loggers whose library, of the same name, is an extra of this package."""


def require_loggers(names: Sequence[str]) -> None:
    """Refuse loggers whose library is not installed.

    Raises:
        ConfigError: With what to install.
    """
    for name in names:
        if name in EXTRAS and find_spec(name) is None:
            raise ConfigError(
                f"monitor.logging.loggers names {name!r}, which is not installed: pip install "
                f"'connectomics-synapses[{name}]'"
            )


def build_loggers(names: Sequence[str], logs: Path, title: str, resumed_step: int | None) -> list[Logger]:
    """Build the loggers of a training.

    Args:
        names: Names in `LOGGERS`.
        logs: Folder for what they write.
        title: Name of the experiment.
        resumed_step: Step of the checkpoint that the training goes on from; None begins anew.
    """
    return [LOGGERS[name](logs, title, resumed_step) for name in names]


def tensorboard_of(trainer: pl.Trainer) -> SummaryWriter | None:
    """Return what writes pictures and curves for TensorBoard; None in later processes, or where nothing does."""
    if not trainer.is_global_zero:
        return None
    return next((one.experiment for one in trainer.loggers if isinstance(one, TensorBoardLogger)), None)


def flush_loggers(trainer: pl.Trainer) -> None:
    """Write what loggers hold back."""
    for logger in trainer.loggers:
        if isinstance(logger, TensorBoardLogger):
            logger.experiment.flush()
        elif isinstance(logger, CSVLogger):
            logger.save()
