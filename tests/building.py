"""What a training is built from, made of settings alone."""

from pathlib import Path

import pytorch_lightning as pl

from connectomics.config import Config
from connectomics.data.datamodule import VolumesDataModule
from connectomics.data.learning_sources import open_learning
from connectomics.runs.training_job import build_data, build_learning
from connectomics.training.module import SegmentationModule
from connectomics.training.trainer import build_trainer


def data_of(config: Config) -> VolumesDataModule:
    """Return the patches of a training."""
    return build_data(config, open_learning(config.data, config.model.in_channels))


def module_of(config: Config) -> SegmentationModule:
    """Return the network in training; its checkpoints know no voxel size."""
    return SegmentationModule(build_learning(config))


def trainer_of(config: Config, checkpoints: Path, logs: Path) -> pl.Trainer:
    """Return the Trainer of a run."""
    return build_trainer(build_learning(config), checkpoints, logs)
