"""Stage (c): the real loader in front of the training step; how much of the time the device works."""

from __future__ import annotations

import time

import torch

from benchmarks.gpu_stages.bench import Bench, Report, Row, Training
from connectomics.data.datamodule import VolumesDataModule
from connectomics.training.module import SegmentationModule


def load(bench: Bench, report: Report) -> None:
    """Report the steps a second with each number of workers."""
    image, label = bench.volumes()
    for workers in bench.sizes.workers:
        if bench.left < 5:
            report({"workers": workers, "note": "no time left"})
            continue
        job = bench.job(
            f"data.train.image=[{image}]", f"data.train.label=[{label}]", "data.train.mask=[]",
            "data.train.resolution=null", "data.train.crop=null", "data.val.image=[]", "data.val.label=[]",
            "data.val.mask=[]", f"system.num_workers={workers}", f"data.dataloader.batch_size={bench.sizes.batches[0]}",
            f"optimization.n_steps_per_epoch={bench.sizes.loader_steps}",
        )  # fmt: skip
        report({"workers": workers} | _drive(bench, job.data, SegmentationModule(job.learning)))


def _drive(bench: Bench, data: VolumesDataModule, module: SegmentationModule) -> Row:
    """Train on what the loader gives, and count the seconds that the device worked."""
    module.to(bench.device)
    training = Training(bench, module, module.model, bench.sizes.batches[0])
    training.step()
    loader, begun, steps = iter(data.train_dataloader()), 0.0, 0
    spans: list[tuple] = []
    for number, batch in enumerate(loader):
        if number == 1 + (bench.sizes.loader_steps > 10) * 4:  # the first ones wait for the workers to begin
            bench.wait()
            begun, spans, steps = time.perf_counter(), [], 0
        moved = {name: tensor.to(bench.device, non_blocking=True) for name, tensor in batch.items()}
        training.image = moved["image"].contiguous(memory_format=module.memory_format)
        training.label, training.valid = moved["label"], moved["valid"]
        spans.append(_timed(bench, training))
        steps += 1
        if bench.left < 2:
            break
    bench.wait()
    whole = time.perf_counter() - begun
    busy = sum(first.elapsed_time(last) / 1000 if bench.on_gpu else last - first for first, last in spans)
    return {"steps/s": round(steps / whole, 2), "busy": f"{busy / whole:.1%}", "ms a step": round(whole / steps * 1000)}


def _timed(bench: Bench, training: Training) -> tuple:
    """Do one step, and return when the device began and ended it."""
    if not bench.on_gpu:
        begun = time.perf_counter()
        training.step()
        return begun, time.perf_counter()
    first, last = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    first.record()
    training.step()
    last.record()
    return first, last
