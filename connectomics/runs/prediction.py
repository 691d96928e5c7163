"""Predict one volume; a killed prediction resumes when the same command is given again."""

from __future__ import annotations

import os
import resource
from collections.abc import Generator, Iterator
from dataclasses import replace
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from connectomics.errors import VolumeError
from connectomics.files import is_url, user_path
from connectomics.geometry import Box
from connectomics.inference import Sections, choose_block, fingerprint, predict_into, predict_volume
from connectomics.planning.machine import host_memory_gib
from connectomics.runs.job import Job, Saving
from connectomics.runs.network import TrainedNetwork
from connectomics.screen.console import say
from connectomics.screen.window_progress import PredictionProgress
from connectomics.volumes.chunks import CHUNK
from connectomics.volumes.labelled import LabelledSource
from connectomics.volumes.read import open_volume
from connectomics.volumes.sections import cut_plane
from connectomics.volumes.source import CroppedSource
from connectomics.volumes.stage import StagedVolume, layout
from connectomics.volumes.state import state_of_files


def mark_of(job: Job, volume: LabelledSource) -> dict[str, str]:
    """Return the fingerprint of the prediction of a volume, with the form of its file where one is written."""
    mark = fingerprint(job.concerning, job.network.weights, volume.seen, job.intensity(volume), volume.box)
    form = {} if job.saving is None else layout(job.plan.channels, volume.image.shape, job.saving.type.dtype)
    return mark | form


def predict_sections(job: Job, volume: LabelledSource) -> Generator[Sections]:
    """Predict a volume, and write its probabilities where results are saved.

    Args:
        job: What predicts, and where the file goes.
        volume: The image; the label is not looked at.

    Returns:
        Every section, float32 (C, n, Y, X), in order, with exactly the values that are saved; the file is whole when
        the last one has been taken. Closing the iterator early keeps what is finished for the next time.

    Raises:
        VolumeError: If the image was changed meanwhile; what was made of it is dropped.
    """
    if job.saving is None:
        yield from _predict_only(job, volume)
        return
    plan, saved, before = job.plan, job.saving.type, state_of_files(volume.seen)
    with (
        stage_of(job, volume, job.saving, None) as stage,
        PredictionProgress(volume.name, sum(box.size for box in stage.remaining)) as progress,
    ):
        _tell_what_is_there(volume.name, stage)
        yield from predict_into(
            stage, saved, volume.seen, job.intensity(volume), plan, job.network.lanes, progress.update, say, volume.box
        )
        if state_of_files(volume.seen) != before:
            stage.drop()
            raise VolumeError(
                f"{volume.image.info.location} was changed while it was predicted; what was made of it is dropped. "
                "Give the command again when nothing writes to the file any more"
            )


def stage_of(job: Job, volume: LabelledSource, saving: Saving, depth: int | None) -> StagedVolume:
    """Return the file of a prediction in the making, in blocks of `depth` sections; None cuts no depth."""
    plan, saved = job.plan, saving.type
    stated = origin_of(volume) | {"scale": saved.scale, "content": "probability times scale", "preset": job.preset}
    return StagedVolume(
        job.run.prediction(volume.name, saving.suffix), plan.channels, volume.image.shape, saved.dtype,
        stated | _channel_names(job), mark_of(job, volume), block_of(job, volume), job.made_with, job.restart, depth,
    )  # fmt: skip


def block_of(job: Job, volume: LabelledSource) -> tuple[int, int] | None:
    """Return the blocks, along (y, x), in which a plane is predicted: what is set, or what fits into the memory."""
    return choose_block(job.plan, volume.image, job.network.lanes, host_memory_gib() * 2**30)


def read_prediction(job: Job, name: str, saving: Saving) -> npt.NDArray[np.float32]:
    """Read the saved probabilities of a volume, (C, Z, Y, X)."""
    return saving.type.restore(open_volume(str(job.run.prediction(name, saving.suffix))).read_all())


def read_sections(job: Job, name: str, saving: Saving) -> Iterator[Sections]:
    """Read the saved probabilities of a volume some sections at a time, in whole planes."""
    source = open_volume(str(job.run.prediction(name, saving.suffix)))
    for box in Box.whole(source.shape).slabs(CHUNK[0]):
        yield Sections(box.start[0], saving.type.restore(source.read(box)))


def try_windows(job: Job, volume: LabelledSource, windows: int) -> None:
    """Predict a number of windows in a corner of the volume, and write nothing."""
    wanted = zip(volume.image.shape, job.plan.window, (1, 1, windows), strict=True)
    z, y, x = (min(extent, size * count) for extent, size, count in wanted)
    corner = CroppedSource(volume.image, Box((0, 0, 0), (z, y, x)))
    alone = replace(volume, image=corner, seen=corner, box=Box((0, 0, 0), corner.shape))
    job.intensity(volume)  # that of the whole volume, by its name
    for _ in _predict_only(job, alone):
        pass
    say(f"{volume.name}: {corner.shape} voxels went through")


def origin_of(volume: LabelledSource) -> dict[str, Any]:
    """Return attributes of what is made of a volume: its grid, and where image and label lie, for who looks later."""
    info = volume.image.info
    grid: dict[str, Any] = {"resolution": np.array(info.spacing_nm), "offset": np.array(info.offset_nm)}
    grid |= {"image": _found_anywhere(info.location)}
    return grid if volume.label is None else grid | {"label": _found_anywhere(volume.label.info.location)}


def _found_anywhere(location: str) -> str:
    """Return a location so that it holds wherever a program is started."""
    return location if is_url(location) else os.path.abspath(user_path(location))


def peak_memory(network: TrainedNetwork) -> str:
    """Return the most memory that this process, and the GPUs, have held so far."""
    host = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    gpus = [
        torch.cuda.max_memory_allocated(lane.device) / 2**30 for lane in network.lanes if lane.device.type == "cuda"
    ]
    return f"{host:.1f} GiB" + (f", GPU {max(gpus):.1f} GiB" if gpus else "")


def _predict_only(job: Job, volume: LabelledSource) -> Iterator[Sections]:
    """Yield the sections of a volume, and write nothing."""
    with PredictionProgress(volume.image.info.location, prod(volume.image.shape)) as progress:
        plan, (z, y, x) = job.plan, volume.box.start
        regions = [block.moved(volume.box.start) for block in cut_plane(volume.image.shape, block_of(job, volume))]
        lanes, intensity = job.network.lanes, job.intensity(volume)
        for found in predict_volume(volume.seen, intensity, plan, lanes, progress.update, say, regions):
            yield Sections(found.z - z, found.voxels, (found.corner[0] - y, found.corner[1] - x))


def _channel_names(job: Job) -> dict[str, str]:
    """Return what the channels of a prediction are called, where there are several."""
    names = job.decoder.channels
    return {"channels": ", ".join(names)} if len(names) == job.plan.channels > 1 else {}


def _tell_what_is_there(name: str, stage: StagedVolume) -> None:
    planes = {block.start[1:]: block.shape[1:] for block in stage.blocks}
    if len(planes) > 1 and stage.remaining:
        high, wide = planes[0, 0]
        say(f"{name}: each plane is predicted in {len(planes)} blocks of up to {high} x {wide} pixels")
    if stage.is_finished:
        say(f"{name}: its prediction is there already, made with the same weights, settings and image")
    elif stage.dropped:
        say(f"{name}: an unfinished prediction was dropped, made with other {', '.join(stage.dropped)}")
    elif stage.remaining and stage.remaining[0].start[0] > 0:
        say(f"{name}: going on at section {stage.remaining[0].start[0]}")
    elif not stage.remaining:
        say(f"{name}: all of its prediction is there, in blocks, and becomes a file")
    if stage.differs:
        say(f"{name}: it was begun with other {', '.join(stage.differs)}, which changes it by rounding at most")
