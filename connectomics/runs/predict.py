"""Predict one volume into its files; a killed prediction goes on where it was when the same command is given again."""

from __future__ import annotations

import resource
import time
from math import prod

import numpy as np
import numpy.typing as npt
import torch

from connectomics.config import Config
from connectomics.decoding import decode
from connectomics.geometry import Box
from connectomics.inference import SAVED_TYPES, fingerprint, plan_inference, predict_into, predict_volume
from connectomics.reports.durations import describe_seconds
from connectomics.reports.figures import compared, stacked, to_gray, write_png
from connectomics.runs.console import say
from connectomics.runs.folder import RunFolder
from connectomics.runs.network import TrainedNetwork
from connectomics.runs.progress import PredictionProgress
from connectomics.volumes.intensity import IntensityRange
from connectomics.volumes.labelled import LabelledSource, measure_image
from connectomics.volumes.labels import split_clefts
from connectomics.volumes.read import open_volume
from connectomics.volumes.source import CroppedSource, VolumeSource
from connectomics.volumes.stage import StagedVolume
from connectomics.volumes.write import WRITERS, VolumeWriter

Mask = npt.NDArray[np.uint8]

PICTURED_SECTIONS = 4


def predict_to_files(volume: LabelledSource, network: TrainedNetwork, config: Config, run: RunFolder) -> Mask:
    """Predict a volume; write its probabilities, its mask and a picture where the settings save results.

    Args:
        volume: The image, and its label for the picture.
        network: What predicts.
        config: The settings.
        run: Where the files go.

    Returns:
        The mask (Z, Y, X), 1 where there is a cleft; empty when nothing is to be evaluated.
    """
    begun = time.monotonic()
    intensity = measure_image(volume, config.data.image_transform)
    if config.inference.save_results:
        mask, clefts = _predict_saved(volume, intensity, network, config, run)
        write_png(run.picture(volume.name), _picture(volume, intensity, clefts, config, run))
    else:
        mask, clefts = _predict_only(volume.image, intensity, network, config)
    seconds, voxels = time.monotonic() - begun, prod(volume.image.shape)
    say(
        f"{volume.name}: {describe_seconds(seconds)}, {voxels / seconds / 1e6:.3g} million voxels/s, peak memory "
        f"{_peak_memory(network)}, {clefts.sum() / voxels:.2%} of the voxels are cleft"
    )
    return mask


def try_windows(volume: LabelledSource, network: TrainedNetwork, config: Config, windows: int) -> None:
    """Predict so many windows in a corner of the volume, and write nothing."""
    wanted = zip(volume.image.shape, config.inference.window.window_size, (1, 1, windows), strict=True)
    z, y, x = (min(extent, size * count) for extent, size, count in wanted)
    image = CroppedSource(volume.image, Box((0, 0, 0), (z, y, x)))
    _predict_only(image, measure_image(volume, config.data.image_transform), network, config)
    say(f"{volume.name}: {image.shape} voxels went through")


def _predict_only(
    image: VolumeSource, intensity: IntensityRange, network: TrainedNetwork, config: Config
) -> tuple[Mask, npt.NDArray[np.int64]]:
    """Return the mask of a volume, and the cleft voxels of each section."""
    mask, clefts = _empty_mask(image, config), np.zeros(image.shape[0], np.int64)
    with PredictionProgress(image.info.location, prod(image.shape)) as progress:
        plan = plan_inference(config)
        for sections in predict_volume(image, intensity, plan, network.lanes, progress.update, say):
            _collect(decode(sections.voxels, config.decoding), sections.box, mask, clefts)
    return mask, clefts


def _predict_saved(
    volume: LabelledSource, intensity: IntensityRange, network: TrainedNetwork, config: Config, run: RunFolder
) -> tuple[Mask, npt.NDArray[np.int64]]:
    """Write probabilities and mask of a volume; return what `_predict_only` does."""
    image, plan = volume.image, plan_inference(config)
    mask, clefts = _empty_mask(image, config), np.zeros(image.shape[0], np.int64)
    suffix = WRITERS[config.inference.save_backend][0]
    saved = SAVED_TYPES[config.inference.save_dtype]
    grid = {"resolution": np.array(image.info.spacing_nm), "offset": np.array(image.info.offset_nm)}
    stated = grid | {"scale": saved.scale, "content": "probability times scale", "preset": config.inference.preset}
    decoded = grid | {"threshold": config.decoding.threshold, "content": "1 where there is a cleft"} | _seen(volume)
    mark = fingerprint(config, network.weights, image, intensity, network.lanes[0].device)
    path = run.prediction(volume.name, suffix)
    with (
        StagedVolume(path, plan.channels, image.shape, saved.dtype, stated, mark, plan.block) as stage,
        VolumeWriter(run.mask(volume.name, suffix), 1, image.shape, np.uint8, decoded) as writer,
        PredictionProgress(volume.name, sum(box.size for box in stage.remaining)) as progress,
    ):
        _tell_what_is_there(volume.name, stage)
        for sections in predict_into(
            stage, saved, image, intensity, plan, network.lanes, progress.update, say
        ):  # fmt: skip
            part = decode(sections.voxels, config.decoding)
            writer.write(sections.z, part[np.newaxis], sections.corner)
            _collect(part, sections.box, mask, clefts)
    return mask, clefts


def _seen(volume: LabelledSource) -> dict[str, str]:
    """Return where the image and the label lie, for those who look at the mask later."""
    label = {} if volume.label is None else {"label": volume.label.info.location}
    return {"image": volume.image.info.location, **label}


def _empty_mask(image: VolumeSource, config: Config) -> Mask:
    """Return room for the mask; none where nothing is evaluated, since a volume may be larger than memory."""
    return np.zeros(image.shape if config.evaluation.enabled else (0, 0, 0), np.uint8)


def _collect(part: Mask, box: Box, mask: Mask, clefts: npt.NDArray[np.int64]) -> None:
    clefts[box.slices[0]] += part.sum((1, 2), dtype=np.int64)
    if mask.size:
        mask[box.slices] = part


def _tell_what_is_there(name: str, stage: StagedVolume) -> None:
    if stage.is_finished:
        say(f"{name}: its prediction is there already, made with the same weights, settings and image")
    elif stage.changed:
        say(f"{name}: an unfinished prediction was dropped, since {', '.join(stage.changed)} changed")
    elif stage.remaining and stage.remaining[0].start[0] > 0:
        say(f"{name}: going on at section {stage.remaining[0].start[0]}")


def _peak_memory(network: TrainedNetwork) -> str:
    """Return the most memory that this process, and the GPUs, have held so far."""
    host = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    gpus = [
        torch.cuda.max_memory_allocated(lane.device) / 2**30 for lane in network.lanes if lane.device.type == "cuda"
    ]
    return f"{host:.1f} GiB" + (f", GPU {max(gpus):.1f} GiB" if gpus else "")


def _picture(
    volume: LabelledSource, intensity: IntensityRange, clefts: npt.NDArray[np.int64], config: Config, run: RunFolder
) -> npt.NDArray[np.uint8]:
    """Return the sections with the most clefts: raw, and beside or below with predicted and annotated ones outlined."""
    mask = open_volume(str(run.mask(volume.name, WRITERS[config.inference.save_backend][0])))
    busiest = sorted(clefts.argsort(kind="stable")[::-1][:PICTURED_SECTIONS].tolist())
    _, y, x = volume.image.shape
    wide = int(x > y)  # wide sections lie below one another, others side by side
    pairs = []
    for z in busiest:
        box = Box((z, 0, 0), (z + 1, y, x))
        gray = to_gray(intensity.scale(volume.image.read(box)[0, 0]))
        truth = None
        if volume.label is not None:
            truth = split_clefts(volume.label.read(box)[0], volume.label.info.layout).foreground[0]
        outlined = compared(gray, mask.read(box)[0, 0], truth)
        pairs.append(stacked([np.repeat(gray[..., np.newaxis], 3, axis=-1), outlined], axis=0))
    return stacked(pairs, axis=1 - wide)
