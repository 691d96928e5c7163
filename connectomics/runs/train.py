"""`--mode train`: from volumes and labels to checkpoints."""

from __future__ import annotations

import gc
import shutil
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import pytorch_lightning as pl

from connectomics.errors import UserError
from connectomics.files import hold, write_text, write_whole
from connectomics.inference.memory import shortage_told
from connectomics.runs.folder import RunFolder, new_run, run_of
from connectomics.runs.label_sense import tell_foreground, tell_shared_tissue
from connectomics.runs.remarks import tell_masks, tell_remarks
from connectomics.runs.training_job import TrainingJob
from connectomics.screen.console import is_first_process, say
from connectomics.training.devices import begin_on
from connectomics.training.interruption import StoppedAtOnce, TrainingInterrupted, signals_noted
from connectomics.training.module import SegmentationModule
from connectomics.training.newest import find_newest
from connectomics.training.trainer import build_trainer


def train(job: TrainingJob) -> RunFolder:
    """Train a network, from the beginning or from where a checkpoint stands.

    Returns:
        The folder of the run.

    Raises:
        UserError: If a file cannot be read or written, or labels cannot be meant.
        TrainingInterrupted: On Ctrl-C or SIGTERM, when the state is saved.
    """
    if job.checkpoint is not None:
        say(f"going on from step {job.resumed_step} of {job.checkpoint}")
    tell_remarks(job.sources.all, job.learning.target)
    tell_masks(job.sections, job.sources.all)
    tell_shared_tissue(job.sources.training, job.sources.validation)
    job.data.setup("fit")
    tell_foreground(job.data.training_patches().cutter.volumes)
    make = not job.trial
    run = new_run(job.place, make) if job.checkpoint is None else run_of(job.checkpoint, job.place, make)
    with _held(job, run):
        _train_in(run, job)
    job.data.trainer = None  # Lightning's objects refer to one another, and so would keep the files of the job open
    gc.collect()
    return run


def _held(job: TrainingJob, run: RunFolder) -> AbstractContextManager[None]:
    """Make sure that no other training writes into the run; the processes of one training are one."""
    if job.trial or not is_first_process():
        return nullcontext()
    return hold(run.writer_lock, f"{run.root}: the training")


def _train_in(run: RunFolder, job: TrainingJob) -> None:
    if not job.trial and is_first_process():
        run.require_writable()
        _write_settings(run, job)
    pl.seed_everything(job.seed, workers=True, verbose=False)
    learning = job.learning
    module, devices = SegmentationModule(learning), learning.devices
    if remark := begin_on(devices, learning.optimization.precision):
        say(remark)
    _begin_with(module, job)
    parameters, where = sum(p.numel() for p in module.model.parameters()), f"{devices.count} x {devices.accelerator}"
    say(f"{job.title}: {learning.network.arch.type} with {parameters:,} parameters on {where}; {run.root}")
    trainer = build_trainer(learning, run.checkpoints, run.logs, job.trial, job.resumed_step)
    with shortage_told(job.advice):
        _fit(trainer, module, job, run)
    if job.trial:
        say(f"{job.trial} batch(es) of training and of validation went through; nothing was written")
    else:
        say(f"trained {trainer.global_step} steps; checkpoint {run.last_checkpoint}; TensorBoard log {run.logs}")


def _begin_with(module: SegmentationModule, job: TrainingJob) -> None:
    """Give the network the weights of another training, and say what is taken from there."""
    if job.initial is not None:
        job.initial.put_into(module.model)
        for line in job.initial.remarks:
            say(line)
    if frozen := job.learning.network.weights.freeze:
        still = sum(p.numel() for p in module.model.parameters() if not p.requires_grad)
        say(f"frozen: {', '.join(frozen)}, {still:,} parameters")


def _fit(trainer: pl.Trainer, module: SegmentationModule, job: TrainingJob, run: RunFolder) -> None:
    """Train; a second Ctrl-C raises `KeyboardInterrupt`."""
    try:
        with signals_noted(trainer):
            trainer.fit(module, datamodule=job.data, ckpt_path=job.checkpoint)
    except StoppedAtOnce:
        raise KeyboardInterrupt from None
    except RuntimeError as error:  # what torch raises where a worker is gone
        if "DataLoader worker" not in str(error):
            raise
        raise UserError(_lost_worker(str(error), run)) from error


def _lost_worker(told: str, run: RunFolder) -> str:
    """Say what became of a process that cut patches, and how to go on."""
    why = (
        "the shared memory (/dev/shm) is too small: give a container more with --shm-size, or lower system.num_workers "
        "(0 needs none)"
        if "Bus error" in told or "shared memory" in told
        else "mostly because the memory ran out: lower system.num_workers (0 does its work in the main process)"
    )
    kept = f"; go on with --checkpoint {run.last_checkpoint}" if run.last_checkpoint.exists() else ""
    return f"a process that cuts patches was ended from outside, {why}{kept}"


def newest_of(place: str, max_steps: int) -> tuple[Path | None, bool]:
    """Return the newest checkpoint of an experiment, and whether its training has come to its end.

    Args:
        place: Folder of the runs. Where none holds a checkpoint, the training begins, and the checkpoint is None.
        max_steps: Length of the training.
    """
    found = find_newest(Path(place), say)
    if found is None:
        return None, False
    if found.step < max_steps or not found.is_done:
        return found.path, False
    say(
        f"{found.path} is of step {found.step}, and optimization.max_steps is {max_steps}: nothing is left to train. "
        "Raise it to go on, or begin anew without --resume"
    )
    if is_first_process():
        _complete(RunFolder(found.path.parent.parent), found.path)
    return found.path, True


def _complete(run: RunFolder, newest: Path) -> None:
    """Write the `last.ckpt` of a training that was killed right before, when one of the best was written already."""
    if newest != run.last_checkpoint:
        with hold(run.writer_lock, f"{run.root}: the training"), write_whole(run.last_checkpoint) as partial:
            shutil.copyfile(newest, partial)


def resume_hint(interrupted: TrainingInterrupted) -> str:
    """Say how to go on with an interrupted training."""
    if interrupted.checkpoint is None:
        return f"{interrupted} before a step was complete; the same command begins again"
    return f"{interrupted}; the last step is saved; go on with --checkpoint {interrupted.checkpoint}"


def _write_settings(run: RunFolder, job: TrainingJob) -> None:
    """Write the settings; those of a resumed part stand beside the first ones."""
    step = job.resumed_step
    write_text(run.config if step is None else run.config.with_name(f"config_from_step_{step}.yaml"), job.written)
