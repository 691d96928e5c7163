"""Predict one volume into its files, with a bar that tells how long it will take."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import ExitStack
from math import prod

import numpy as np
import numpy.typing as npt
import torch
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from torch import Tensor

from connectomics.config import Config
from connectomics.decoding import decode
from connectomics.geometry import Box
from connectomics.inference.plan import plan_inference
from connectomics.inference.predict import Sections, predict_volume
from connectomics.inference.rows import Lane
from connectomics.reports.durations import describe_seconds
from connectomics.reports.figures import compared, stacked, to_gray, write_png
from connectomics.runs.console import console, say
from connectomics.runs.folder import RunFolder
from connectomics.volumes.intensity import IntensityRange, measure_intensity
from connectomics.volumes.labelled import LabelledSource
from connectomics.volumes.labels import split_clefts
from connectomics.volumes.source import CroppedSource
from connectomics.volumes.write import WRITERS, VolumeWriter

SAVED: dict[str, tuple[type[np.generic], float]] = {
    "float32": (np.float32, 1.0),
    "float16": (np.float16, 1.0),
    "uint8": (np.uint8, 255.0),
}
"""`inference.save_dtype` to the type, and to what a probability of 1 is stored as."""

PICTURED_SECTIONS = 4


def predict_to_files(
    volume: LabelledSource,
    forward: Callable[[Tensor], Tensor],
    config: Config,
    device: torch.device,
    run: RunFolder,
    fast_dev_run: int = 0,
) -> npt.NDArray[np.uint8]:
    """Predict a volume, write its probabilities, mask and picture, and return the mask.

    Args:
        volume: The image, and its label for the picture.
        forward: The network.
        config: The settings.
        device: Where the network is.
        run: Where the files go.
        fast_dev_run: So many windows, nothing written; 0 predicts and writes the whole volume.

    Returns:
        The mask (Z, Y, X).
    """
    image = volume.image
    if fast_dev_run:
        wanted = zip(image.shape, config.inference.window.window_size, (1, 1, fast_dev_run), strict=True)
        z, y, x = (min(extent, size * count) for extent, size, count in wanted)
        image = CroppedSource(image, Box((0, 0, 0), (z, y, x)))
    transform = config.data.image_transform
    intensity = measure_intensity(
        image, transform.normalize, transform.clip_percentile_low, transform.clip_percentile_high
    )
    writes = config.inference.save_results and not fast_dev_run
    mask = np.empty(image.shape, np.uint8)
    begun = time.monotonic()
    with ExitStack() as stack:
        writers = _open_writers(stack, volume, config, run) if writes else None
        bar = stack.enter_context(_bar(volume.name))
        task = bar.add_task(volume.name, total=None)
        sections_in_order = predict_volume(
            image, intensity, plan_inference(config), [Lane(forward, device)],
            lambda done, total: bar.update(task, completed=done, total=total),
        )  # fmt: skip
        for sections in sections_in_order:
            decoded = decode(sections.voxels, config.decoding)
            mask[sections.z : sections.z + decoded.shape[0]] = decoded
            if writers is not None:
                writers[0].write(sections.z, _stored(sections, config.inference.save_dtype))
                writers[1].write(sections.z, decoded[np.newaxis])
    seconds = time.monotonic() - begun
    rate = prod(image.shape) / seconds / 1e6
    share = float(mask.mean())
    say(f"{volume.name}: {describe_seconds(seconds)}, {rate:.3g} million voxels/s, {share:.2%} of the voxels are cleft")
    if writes:
        write_png(run.picture(volume.name), _picture(volume, intensity, mask))
    return mask


def _open_writers(
    stack: ExitStack, volume: LabelledSource, config: Config, run: RunFolder
) -> tuple[VolumeWriter, VolumeWriter]:
    """Open the files of the probabilities and of the mask."""
    suffix = WRITERS[config.inference.save_backend][0]
    info = volume.image.info
    attributes = {"resolution": np.array(info.spacing_nm), "offset": np.array(info.offset_nm)}
    dtype, scale = SAVED[config.inference.save_dtype]
    stated = attributes | {"scale": scale, "content": "probability times scale"}
    decoded = attributes | {"threshold": config.decoding.threshold, "content": "1 where there is a cleft"}
    shape = volume.image.shape
    files = (
        VolumeWriter(run.prediction(volume.name, suffix), config.model.out_channels, shape, dtype, stated),
        VolumeWriter(run.mask(volume.name, suffix), 1, shape, np.uint8, decoded),
    )
    return stack.enter_context(files[0]), stack.enter_context(files[1])


def _stored(sections: Sections, save_dtype: str) -> npt.NDArray:
    """Return probabilities in the type that they are saved in."""
    dtype, scale = SAVED[save_dtype]
    if scale == 1:
        return sections.voxels.astype(dtype, copy=False)
    return (sections.voxels * np.float32(scale)).round().astype(dtype)


def _bar(name: str) -> Progress:
    columns = (
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("windows"),
        TimeRemainingColumn(),
    )  # fmt: skip
    return Progress(*columns, console=console(), transient=True)


def _picture(volume: LabelledSource, intensity: IntensityRange, mask: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Return the sections with the most clefts, predicted and annotated ones outlined, side by side."""
    truth = None
    if volume.label is not None:
        truth = split_clefts(volume.label.read_all()[0], volume.label.info.layout).foreground
    busy = (mask.sum((1, 2), dtype=np.int64) if truth is None else truth.sum((1, 2), dtype=np.int64)).argsort()[::-1]
    _, y, x = volume.image.shape
    columns = []
    for z in sorted(busy[:PICTURED_SECTIONS].tolist()):
        gray = to_gray(intensity.scale(volume.image.read(Box((z, 0, 0), (z + 1, y, x)))[0, 0]))
        outlined = compared(gray, mask[z], None if truth is None else truth[z])
        columns.append(stacked([np.repeat(gray[..., np.newaxis], 3, axis=-1), outlined], axis=0))
    return stacked(columns, axis=1)
