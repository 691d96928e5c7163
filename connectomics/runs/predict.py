"""Predict one volume; a killed prediction goes on where it was when the same command is given again."""

from __future__ import annotations

import resource
from collections.abc import Iterator
from dataclasses import replace
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from connectomics.config import Config
from connectomics.decoding import pick_decoder
from connectomics.geometry import Box
from connectomics.inference import SAVED_TYPES, Sections, fingerprint, plan_inference, predict_into, predict_volume
from connectomics.runs.console import say
from connectomics.runs.folder import RunFolder
from connectomics.runs.network import TrainedNetwork
from connectomics.runs.progress import PredictionProgress
from connectomics.volumes.chunks import CHUNK
from connectomics.volumes.intensity import IntensityRange
from connectomics.volumes.labelled import LabelledSource, measure_image
from connectomics.volumes.read import open_volume
from connectomics.volumes.sections import cut_plane
from connectomics.volumes.source import CroppedSource
from connectomics.volumes.stage import StagedVolume
from connectomics.volumes.write import WRITERS


def predict_sections(
    volume: LabelledSource, intensity: IntensityRange, network: TrainedNetwork, config: Config, run: RunFolder
) -> Iterator[Sections]:
    """Predict a volume, and write its probabilities where the settings save results.

    Args:
        volume: The image; the label is not looked at.
        intensity: Which of its grey values become 0 and 1.
        network: What predicts.
        config: The settings.
        run: Where the file goes.

    Returns:
        Every section, float32 (C, n, Y, X), in order, with exactly the values that are saved; the file is whole when
        the last one has been taken. Closing the iterator early keeps what is finished for the next time.
    """
    plan = plan_inference(config)
    if not config.inference.save_results:
        yield from _predict_only(volume, intensity, network, config)
        return
    saved = SAVED_TYPES[config.inference.save_dtype]
    stated = origin_of(volume) | {"scale": saved.scale, "content": "probability times scale"}
    stated |= {"preset": config.inference.preset} | _channel_names(config)
    mark = fingerprint(config, network.weights, volume.seen, intensity, network.lanes[0].device, volume.box)
    path = run.prediction(volume.name, WRITERS[config.inference.save_backend][0])
    with (
        StagedVolume(path, plan.channels, volume.image.shape, saved.dtype, stated, mark, plan.block) as stage,
        PredictionProgress(volume.name, sum(box.size for box in stage.remaining)) as progress,
    ):
        _tell_what_is_there(volume.name, stage)
        yield from predict_into(
            stage, saved, volume.seen, intensity, plan, network.lanes, progress.update, say, volume.box
        )


def read_prediction(name: str, config: Config, run: RunFolder) -> npt.NDArray[np.float32]:
    """Read the saved probabilities of a volume, (C, Z, Y, X)."""
    stored = open_volume(str(run.prediction(name, WRITERS[config.inference.save_backend][0]))).read_all()
    return SAVED_TYPES[config.inference.save_dtype].restore(stored)


def read_sections(name: str, config: Config, run: RunFolder) -> Iterator[Sections]:
    """Read the saved probabilities of a volume some sections at a time, in whole planes."""
    source = open_volume(str(run.prediction(name, WRITERS[config.inference.save_backend][0])))
    depth, y, x = source.shape
    for z in range(0, depth, CHUNK[0]):
        stored = source.read(Box((z, 0, 0), (min(z + CHUNK[0], depth), y, x)))
        yield Sections(z, SAVED_TYPES[config.inference.save_dtype].restore(stored))


def try_windows(volume: LabelledSource, network: TrainedNetwork, config: Config, windows: int) -> None:
    """Predict so many windows in a corner of the volume, and write nothing."""
    wanted = zip(volume.image.shape, config.inference.window.window_size, (1, 1, windows), strict=True)
    z, y, x = (min(extent, size * count) for extent, size, count in wanted)
    corner = CroppedSource(volume.image, Box((0, 0, 0), (z, y, x)))
    alone = replace(volume, image=corner, seen=corner, box=Box((0, 0, 0), corner.shape))
    for _ in _predict_only(alone, measure_image(volume, config.data.image_transform), network, config):
        pass
    say(f"{volume.name}: {corner.shape} voxels went through")


def origin_of(volume: LabelledSource) -> dict[str, Any]:
    """Return attributes of what is made of a volume: its grid, and where image and label lie, for who looks later."""
    info = volume.image.info
    grid = {"resolution": np.array(info.spacing_nm), "offset": np.array(info.offset_nm), "image": info.location}
    return grid if volume.label is None else grid | {"label": volume.label.info.location}


def peak_memory(network: TrainedNetwork) -> str:
    """Return the most memory that this process, and the GPUs, have held so far."""
    host = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    gpus = [
        torch.cuda.max_memory_allocated(lane.device) / 2**30 for lane in network.lanes if lane.device.type == "cuda"
    ]
    return f"{host:.1f} GiB" + (f", GPU {max(gpus):.1f} GiB" if gpus else "")


def _predict_only(
    volume: LabelledSource, intensity: IntensityRange, network: TrainedNetwork, config: Config
) -> Iterator[Sections]:
    """Yield the sections of a volume, and write nothing."""
    with PredictionProgress(volume.image.info.location, prod(volume.image.shape)) as progress:
        plan, (z, y, x) = plan_inference(config), volume.box.start
        regions = [block.moved(volume.box.start) for block in cut_plane(volume.image.shape, plan.block)]
        for found in predict_volume(volume.seen, intensity, plan, network.lanes, progress.update, say, regions):
            yield Sections(found.z - z, found.voxels, (found.corner[0] - y, found.corner[1] - x))


def _channel_names(config: Config) -> dict[str, str]:
    """Return what the channels of a prediction are called, where there are several."""
    names = pick_decoder(config.decoding).channels
    return {"channels": ", ".join(names)} if len(names) == config.model.out_channels > 1 else {}


def _tell_what_is_there(name: str, stage: StagedVolume) -> None:
    if stage.is_finished:
        say(f"{name}: its prediction is there already, made with the same weights, settings and image")
    elif stage.changed:
        say(f"{name}: an unfinished prediction was dropped, since {', '.join(stage.changed)} changed")
    elif stage.remaining and stage.remaining[0].start[0] > 0:
        say(f"{name}: going on at section {stage.remaining[0].start[0]}")
