"""`--mode train`: from volumes and labels to checkpoints."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import pytorch_lightning as pl

from connectomics.config import Config, as_plain, dump_config
from connectomics.data.datamodule import VolumesDataModule
from connectomics.errors import CheckpointError
from connectomics.files import hold, write_text
from connectomics.inference.memory import shortage_told
from connectomics.runs.folder import RunFolder, new_run, run_of
from connectomics.runs.label_sense import tell_foreground, tell_shared_tissue
from connectomics.runs.remarks import tell_masks, tell_remarks
from connectomics.runs.resolution import learnt_sizes, require_learnt, require_one_resolution
from connectomics.screen.console import is_first_process, quiet_libraries, say
from connectomics.training.checkpoints import is_finite, read_checkpoint, require_same_model
from connectomics.training.cluster import require_processes
from connectomics.training.devices import begin_on, choose_devices, require_precision
from connectomics.training.interruption import StoppedAtOnce, TrainingInterrupted, signals_noted
from connectomics.training.module import SegmentationModule
from connectomics.training.newest import find_newest
from connectomics.training.resuming import require_resumable
from connectomics.training.trainer import build_trainer
from connectomics.volumes.labelled import LabelledSource


def train(config: Config, checkpoint: Path | None = None, fast_dev_run: int = 0) -> RunFolder:
    """Train a network, from the beginning or from where a checkpoint stands.

    Args:
        config: The settings.
        checkpoint: Checkpoint to go on from; None begins anew.
        fast_dev_run: How many batches of training and validation to try, writing nothing; 0 is a real training.

    Returns:
        The folder of the run.

    Raises:
        UserError: If something that the settings name cannot be used.
        TrainingInterrupted: On Ctrl-C or SIGTERM, when the state is saved.
    """
    quiet_libraries()
    devices = choose_devices(config.system)
    require_processes(devices)
    data = VolumesDataModule(config)
    volumes = data.check()
    require_one_resolution(volumes, config)
    require_precision(devices, config.optimization.precision, "optimization.precision")
    resumed_step = _check_resumed(config, checkpoint, volumes)
    tell_remarks(volumes, data.target)
    tell_masks([config.data.train, config.data.val], volumes)
    count = len(config.data.train.image)
    tell_shared_tissue(volumes[:count], volumes[count:])
    data.setup("fit")
    tell_foreground(data.training_patches().cutter.volumes)
    place, make = config.save_path or "", not fast_dev_run
    run = new_run(place, make) if checkpoint is None else run_of(checkpoint, place, make)
    with _held(run, fast_dev_run):
        _train_in(run, config, data, checkpoint, fast_dev_run, resumed_step)
    return run


def _held(run: RunFolder, fast_dev_run: int) -> AbstractContextManager[None]:
    """Make sure that no other training writes into the run; the processes of one training are one."""
    if fast_dev_run or not is_first_process():
        return nullcontext()
    return hold(run.writer_lock, f"{run.root}: the training")


def _train_in(
    run: RunFolder, config: Config, data: VolumesDataModule, checkpoint: Path | None, fast_dev_run: int,
    resumed_step: int | None,
) -> None:  # fmt: skip
    if not fast_dev_run:
        if is_first_process():
            run.require_writable()
        _write_config(run, config, resumed_step)
    pl.seed_everything(config.system.seed, workers=True, verbose=False)
    module = SegmentationModule(config, learnt_sizes(data.training_patches().cutter.volumes))
    parameters, devices = sum(p.numel() for p in module.model.parameters()), choose_devices(config.system)
    if remark := begin_on(devices, config.optimization.precision):
        say(remark)
    where = f"{devices.count} x {devices.accelerator}"
    say(f"{config.experiment_name}: {config.model.arch.type} with {parameters:,} parameters on {where}; {run.root}")
    trainer = build_trainer(config, run.checkpoints, run.logs, fast_dev_run, resumed_step)
    with shortage_told(_advice(config)):
        _fit(trainer, module, data, checkpoint)
    if fast_dev_run:
        say(f"{fast_dev_run} batch(es) of training and of validation went through; nothing was written")
    else:
        say(f"trained {trainer.global_step} steps; checkpoint {run.last_checkpoint}; TensorBoard log {run.logs}")


def _fit(trainer: pl.Trainer, module: SegmentationModule, data: VolumesDataModule, checkpoint: Path | None) -> None:
    """Train; a second Ctrl-C raises `KeyboardInterrupt`."""
    try:
        with signals_noted(trainer):
            trainer.fit(module, datamodule=data, ckpt_path=checkpoint)
    except StoppedAtOnce:
        raise KeyboardInterrupt from None


def _advice(config: Config) -> str:
    loader, settings = config.data.dataloader, config.optimization
    size = " x ".join(str(n) for n in loader.patch_size)
    return (
        f"the memory is too small for a training step with {loader.batch_size} patch(es) of {size} voxels; lower "
        "data.dataloader.batch_size (optimization.accumulate_grad_batches, now "
        f"{settings.accumulate_grad_batches}, makes up for it) or data.dataloader.patch_size"
    )


def newest_of(config: Config) -> tuple[Path | None, bool]:
    """Return the newest checkpoint of the experiment, and whether its training has come to its end.

    Without one the training begins, and the checkpoint is None.
    """
    found = find_newest(Path(config.save_path or ""), say)
    if found is None:
        return None, False
    if found.step < config.optimization.max_steps or not found.is_done:
        return found.path, False
    say(
        f"{found.path} is of step {found.step}, and optimization.max_steps is {config.optimization.max_steps}: nothing "
        "is left to train. Raise it to go on, or leave --resume away to begin anew"
    )
    return found.path, True


def resume_hint(interrupted: TrainingInterrupted) -> str:
    """Say how to go on with an interrupted training."""
    if interrupted.checkpoint is None:
        return f"{interrupted} before a step was complete; the same command begins again"
    return f"{interrupted}; the last step is saved; go on with --checkpoint {interrupted.checkpoint}"


def _check_resumed(config: Config, checkpoint: Path | None, volumes: list[LabelledSource]) -> int | None:
    if checkpoint is None:
        return None
    saved = read_checkpoint(checkpoint)
    require_same_model(saved, as_plain(config), checkpoint)
    require_learnt(volumes, saved, checkpoint, config)
    require_resumable(saved, config, checkpoint)
    if not is_finite(saved):
        raise CheckpointError(f"--checkpoint {checkpoint} holds weights that are not finite; go on from an earlier one")
    step = int(saved["global_step"])
    say(f"going on from step {step} of {checkpoint}")
    return step


def _write_config(run: RunFolder, config: Config, resumed_step: int | None) -> None:
    """Write the settings; those of a resumed part stand beside the first ones."""
    if is_first_process():
        name = run.config if resumed_step is None else run.config.with_name(f"config_from_step_{resumed_step}.yaml")
        write_text(name, dump_config(config))
