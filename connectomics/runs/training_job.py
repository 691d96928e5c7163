"""A training job: everything that train mode needs, assembled once from the settings, and handed on instead of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import prod
from pathlib import Path

from connectomics.config import STAGES, Config, as_plain, dump_stages, load_configs
from connectomics.config.data import VolumesConfig
from connectomics.data.datamodule import VolumesDataModule
from connectomics.data.learning_sources import LearningSources
from connectomics.data.targets import build_target
from connectomics.errors import CheckpointError, ConfigError
from connectomics.files import user_path
from connectomics.inference.activations import build_activations
from connectomics.planning.machine import GIB, host_memory_gib
from connectomics.runs.folder import find_checkpoint
from connectomics.runs.job import match_rule
from connectomics.runs.resolution import learnt_sizes, require_learnt, require_one_resolution
from connectomics.screen.console import quiet_libraries
from connectomics.training.checkpoints import is_finite, read_checkpoint, require_same_model
from connectomics.training.cluster import require_processes
from connectomics.training.devices import choose_devices, require_precision, require_sync
from connectomics.training.initial_weights import InitialWeights, find_initial_weights
from connectomics.training.learning import Learning
from connectomics.training.loggers import require_loggers
from connectomics.training.resuming import require_resumable
from connectomics.training.weights_file import EXPORTED
from connectomics.volumes.labelled import absolute_location


@dataclass(frozen=True, slots=True, eq=False)
class TrainingJob:
    """What is trained, on what, and where the run goes."""

    title: str
    """Name of the experiment."""
    place: str
    """Folder of the runs."""
    learning: Learning
    data: VolumesDataModule
    sections: tuple[VolumesConfig, ...]
    """The settings that name the volumes, for remarks on masks that may be missing."""
    seed: int
    checkpoint: Path | None
    """The checkpoint that the training goes on from; None begins anew."""
    resumed_step: int | None
    """Its step."""
    initial: InitialWeights | None
    """The weights that a new training begins with; None for random ones."""
    trial: int
    """How many batches of training and of validation to try, writing nothing; 0 is a real training."""
    written: str
    """The settings as YAML, for the folder of the run."""

    @property
    def sources(self) -> LearningSources:
        """The volumes."""
        return self.data.sources

    @property
    def advice(self) -> str:
        """What to do where the memory is too small for a step."""
        loader = self.data.config.dataloader
        size = " x ".join(str(n) for n in loader.patch_size)
        return (
            f"the memory is too small for a training step with {loader.batch_size} patch(es) of {size} voxels; lower "
            "data.dataloader.batch_size (optimization.accumulate_grad_batches, now "
            f"{self.learning.optimization.accumulate_grad_batches}, makes up for it) or data.dataloader.patch_size"
        )


def build_training_job(
    config: Config,
    sources: LearningSources,
    checkpoint: Path | None = None,
    trial: int = 0,
    modes: Mapping[str, Config] | None = None,
) -> TrainingJob:
    """Assemble the job of train mode.

    Args:
        config: The settings, checked.
        sources: The volumes, opened.
        checkpoint: Checkpoint to go on from; None begins anew.
        trial: How many batches of training and validation to try, writing nothing; 0 is a real training.
        modes: The settings of every mode, for the file in the folder of the run; None writes those of training alone.

    Raises:
        UserError: If something that the settings name cannot be used.
    """
    quiet_libraries()
    config = _with_global_batch(config)
    learning = build_learning(config, sources)
    require_processes(learning.devices)
    _require_memory(config)
    require_one_resolution(sources.all, config.data.allow_other_resolution)
    require_loggers(config.monitor.logging.loggers)
    require_sync(learning.devices, config.model.sync_batchnorm)
    require_precision(learning.devices, config.optimization.precision, "optimization.precision")
    return TrainingJob(
        title=config.experiment_name,
        place=config.save_path or "",
        learning=learning,
        data=build_data(config, sources),
        sections=(config.data.train, config.data.val),
        seed=config.system.seed,
        checkpoint=checkpoint,
        resumed_step=None if checkpoint is None else _resumed_step(config, checkpoint, sources),
        initial=_initial_weights(config) if checkpoint is None else None,
        trial=trial,
        written=dump_stages({mode: _from_everywhere(one) for mode, one in (modes or _alike(config)).items()}),
    )


def _require_memory(config: Config) -> None:
    """Refuse batches that the memory of this machine could not even hold, before anything is read.

    Raises:
        ConfigError: With what a batch takes.
    """
    loader = config.data.dataloader
    channels = config.model.in_channels + build_target(config.data.target).num_channels
    needed = loader.batch_size * prod(loader.patch_size) * (4 * channels + 1) / GIB  # float32, and what is annotated
    there = host_memory_gib()
    if needed > there:
        raise ConfigError(
            f"data.dataloader.batch_size is {loader.batch_size}: one batch takes {needed:.3g} GiB, and this machine "
            f"has {there:.3g}"
        )


def build_learning(config: Config, sources: LearningSources | None = None) -> Learning:
    """Return what a network learns, and how; without sources, its checkpoints know no voxel size."""
    sources, config = sources or LearningSources((), ()), _with_global_batch(config)
    return Learning(
        network=config.model,
        target=build_target(config.data.target),
        activations=build_activations(config.inference.model.channel_activations, config.model.out_channels),
        decoding=config.decoding,
        rule=match_rule(config),
        optimization=config.optimization,
        monitor=config.monitor,
        devices=choose_devices(config.system),
        batch_size=config.data.dataloader.batch_size,
        validates=bool(config.data.val.image),
        learnt_at=learnt_sizes(sources.training),
        settings=as_plain(config),
    )


def build_data(config: Config, sources: LearningSources) -> VolumesDataModule:
    """Return the patches of a training, cut from its volumes."""
    optimization = _with_global_batch(config).optimization
    batches = optimization.n_steps_per_epoch * optimization.accumulate_grad_batches
    return VolumesDataModule(sources, config.data, batches, config.system)


def _with_global_batch(config: Config) -> Config:
    """Return settings that accumulate as many batches as `data.dataloader.global_batch` needs on these devices.

    Raises:
        ConfigError: If it is no whole number of batches.
    """
    wanted, devices = config.data.dataloader.global_batch, choose_devices(config.system)
    if wanted is None:
        return config
    at_once = config.data.dataloader.batch_size * devices.count
    if wanted % at_once:
        raise ConfigError(
            f"data.dataloader.global_batch is {wanted}; it must be a multiple of {at_once}, what {devices.count} x "
            f"{devices.accelerator} take at a time with data.dataloader.batch_size={config.data.dataloader.batch_size}"
        )
    return replace(config, optimization=replace(config.optimization, accumulate_grad_batches=wanted // at_once))


def _initial_weights(config: Config) -> InitialWeights | None:
    if config.model.weights.file is None:
        return None
    path = user_path(config.model.weights.file)
    is_run = path.is_dir() and not (path / EXPORTED).exists()
    return find_initial_weights(config.model, find_checkpoint(path) if is_run else path)


def every_mode(path: Path, overrides: Sequence[str], configs: Mapping[str, Config]) -> Mapping[str, Config]:
    """Return the settings of all modes for later commands, in which each override holds, where it can.

    Args:
        path: The file of settings.
        overrides: What wins over it.
        configs: The settings of all modes, in which an override holds for the mode that runs.
    """
    try:
        return load_configs(path, overrides, "demo")
    except ConfigError:
        return configs


def _alike(config: Config) -> dict[str, Config]:
    return dict.fromkeys(STAGES, config)


def _from_everywhere(config: Config) -> Config:
    """Return settings whose paths hold wherever the program is started."""
    data = config.data
    train, val, test = (_absolute(section) for section in (data.train, data.val, data.test))
    place = None if config.save_path is None else str(Path(config.save_path).absolute())
    weights = config.model.weights
    if weights.file is not None:
        weights = replace(weights, file=str(user_path(weights.file).absolute()))
    return replace(
        config,
        save_path=place,
        model=replace(config.model, weights=weights),
        data=replace(data, train=train, val=val, test=test),
    )


def _absolute(section: VolumesConfig) -> VolumesConfig:
    return replace(
        section,
        image=[absolute_location(location) for location in section.image],
        label=[absolute_location(location) for location in section.label],
        mask=[absolute_location(location) for location in section.mask],
    )


def _resumed_step(config: Config, checkpoint: Path, sources: LearningSources) -> int:
    """Return the step of a checkpoint, after checking that today's settings and volumes can go on from it."""
    saved = read_checkpoint(checkpoint)
    require_same_model(saved, as_plain(config), checkpoint)
    data = config.data
    require_learnt(sources.all, saved, checkpoint, data.image_transform.normalize, data.allow_other_resolution)
    require_resumable(saved, config.optimization, config.model, checkpoint)
    if not is_finite(saved):
        raise CheckpointError(f"--checkpoint {checkpoint} holds weights that are not finite; go on from an earlier one")
    return int(saved["global_step"])
