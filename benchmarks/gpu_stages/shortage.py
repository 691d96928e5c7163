"""Part of stage (d): memory that does not suffice, for a batch, a slab and a canvas, and what becomes of it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from unittest import mock

import torch

from benchmarks.gpu_stages.bench import Bench, Report
from connectomics.config import Config
from connectomics.errors import DeviceError
from connectomics.inference import Forward, Lane, plan_inference, predict, predict_volume
from connectomics.volumes.intensity import IntensityRange
from connectomics.volumes.source import VolumeSource

ROOM = {"batch": 3 * 2**30, "slab": 2**25, "canvas": 2**28}
"""Bytes beyond what is held already that the GPU may give: enough for a few windows, for no slab, for no canvas."""


def provoke(bench: Bench, config: Config, image: VolumeSource, forward: Forward, report: Report) -> None:
    """Predict the first rows of a volume with too little memory for one thing after the other."""
    config.inference.window.sw_batch_size = 64 if bench.on_gpu else 4
    for what in ROOM:
        told: list[str] = []
        with _short_of(bench, what):
            lane = Lane(_failing(forward) if what == "batch" and not bench.on_gpu else forward, bench.device)
            try:
                plan = plan_inference(config.inference, config.data, config.model)
                next(predict_volume(image, IntensityRange(0, 255), plan, [lane], on_notice=told.append))
                became = "predicted all the same" + (f": {told[-1]}" if told else ", nothing was short")
                survived = bool(told)
            except DeviceError as error:
                became, survived = f"one line: {error}", True
        report({"what": f"too little memory for the {what}", "became": became, "good": survived})


def _failing(forward: Forward) -> Forward:
    """Return the network on a device that takes two windows at a time: where there is no GPU to fill."""

    def small(windows: torch.Tensor) -> torch.Tensor:
        if len(windows) > 2:
            raise torch.OutOfMemoryError("out of memory, provoked")
        return forward(windows)

    return small


@contextmanager
def _short_of(bench: Bench, what: str) -> Iterator[None]:
    """Let the GPU give no more than `ROOM`; on the CPU, let the step that makes a slab or a canvas fail."""
    if bench.on_gpu:
        bench.forget()
        whole = torch.cuda.get_device_properties(bench.device).total_memory
        torch.cuda.set_per_process_memory_fraction(min(1.0, (torch.cuda.memory_reserved() + ROOM[what]) / whole))
        try:
            yield
        finally:
            torch.cuda.set_per_process_memory_fraction(1.0)
            bench.forget()
        return
    name = {"slab": "scale_on", "canvas": "predict_row"}.get(what)
    if name is None:
        yield
        return
    with mock.patch.object(predict, name, side_effect=torch.OutOfMemoryError("out of memory, provoked")):
        yield
