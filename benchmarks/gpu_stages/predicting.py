"""Stage (d): a whole volume predicted, exact and fast; the whole of `--mode test`; memory that does not suffice."""

from __future__ import annotations

import json
import resource
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from math import prod
from pathlib import Path
from typing import Any
from unittest import mock

import torch

from benchmarks.gpu_stages.bench import Bench, Report, Row, flops_of
from benchmarks.gpu_stages.shortage import provoke
from connectomics.config import Config
from connectomics.inference import Forward, Lane, plan_inference, predict_volume
from connectomics.models.build import build_model, choose_memory_format
from connectomics.models.fold import fold_batch_norm
from connectomics.runs import test as test_mode
from connectomics.runs.job import build_job
from connectomics.runs.network import forward_on
from connectomics.runs.train import train
from connectomics.volumes.intensity import IntensityRange
from connectomics.volumes.labelled import open_labelled
from connectomics.volumes.read import open_volume

PARTS = ("_find", "pair_labels", "score_or_say", "write_picture", "write_synapses", "write_page")
"""Functions that `--mode test` is made of, whose seconds are told apart; predicting and decoding are one."""

MOST = 0.6
"""Share of what is left of the stage that one prediction may take: what comes after it needs time too."""


def predict(bench: Bench, report: Report) -> None:
    """Report what a prediction takes."""
    image, label = bench.volumes()
    for preset in ("fast", "exact"):
        config = bench.config("test", f"inference.preset={preset}")
        torch.manual_seed(0)
        folded = fold_batch_norm(build_model(config.model))
        form = choose_memory_format(config.model, bench.on_gpu)
        forward = forward_on(bench.device, folded, form, config.inference.precision, config.inference.compile)
        report({"what": f"prediction, {preset}"} | _predict(bench, config, image, forward, bench.left * MOST))
    provoke(bench, bench.config("test"), open_volume(str(image)), forward, report)
    report({"what": "--mode test, fast"} | _whole_test(bench, image, label))


def _predict(bench: Bench, config: Config, image: Path, forward: Forward, most: float) -> Row:
    """Predict the volume for at most so many seconds, and say for which part of it the figures are."""
    bench.forget()
    plan, source = plan_inference(config.inference, config.data, config.model), open_volume(str(image))
    window = plan.grid(source.shape).window
    flops = flops_of(lambda: forward(torch.rand(1, 1, *window, device=bench.device))) / prod(window)
    watched = Watched(bench, forward)
    done, begun = 0, time.perf_counter()
    stream = predict_volume(source, IntensityRange(0, 255), plan, [Lane(watched, bench.device)])
    for sections in stream:
        done += sections.voxels.shape[1]
        if time.perf_counter() - begun > most:
            break
    stream.close()
    whole = time.perf_counter() - begun
    busy, rate = watched.seconds(), flops * watched.voxels / whole / 1e12
    host = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    return {"s": round(whole, 2), "sections": f"{done} of {source.shape[0]}", "busy": f"{busy / whole:.1%}",
            "TFLOP/s": float(f"{rate:.3g}"), "GiB": bench.peak(), "host GiB": round(host, 2)}  # fmt: skip


class Watched:
    """A network that counts the voxels it is given, and how long the device works on them."""

    def __init__(self, bench: Bench, forward: Forward) -> None:
        self._bench, self._forward = bench, forward
        self._spans: list[tuple[Any, Any]] = []
        self.voxels = 0

    def __call__(self, windows: torch.Tensor) -> torch.Tensor:
        """Map windows to logits, as the network does."""
        self.voxels += windows.numel()
        if self._bench.on_gpu:
            first, last = (torch.cuda.Event(enable_timing=True) for _ in range(2))
            first.record()
            logits = self._forward(windows)
            last.record()
            self._spans.append((first, last))
            return logits
        begun = time.perf_counter()
        logits = self._forward(windows)
        self._spans.append((begun, time.perf_counter()))
        return logits

    def seconds(self) -> float:
        """Return for how long the device worked."""
        self._bench.wait()
        return sum(a.elapsed_time(b) / 1000 if self._bench.on_gpu else b - a for a, b in self._spans)


def _whole_test(bench: Bench, image: Path, label: Path) -> Row:
    """Test a network of two steps as a user would, and tell where the time goes."""
    bench.forget()
    learnt = [f"data.train.image=[{image}]", f"data.train.label=[{label}]", "data.train.mask=[]",
              "data.train.crop=null", "data.train.resolution=null", "data.val.image=[]", "data.val.label=[]",
              "data.val.mask=[]"]  # fmt: skip
    size = f"data.dataloader.batch_size={bench.sizes.batches[0]}"
    run = train(bench.job(*learnt, size, *quick(2), "system.num_workers=0"))
    tested = [f"data.test.image=[{image}]", f"data.test.label=[{label}]", "data.test.mask=[]",
              "data.test.resolution=null", "data.test.crop=null", "inference.preset=fast"]  # fmt: skip
    return score(bench.config("test", *tested), run.last_checkpoint)


def quick(steps: int) -> list[str]:
    """Return the settings of a training of so many steps that is validated by nothing."""
    return [
        f"optimization.max_steps={steps}", f"optimization.n_steps_per_epoch={min(steps, 500)}",
        "optimization.ema.warmup_steps=1", "optimization.ema.decay=0.98",
        "monitor.checkpoint.monitor=train_loss_total_epoch", "monitor.checkpoint.mode=min",
        "monitor.early_stopping.enabled=false",
    ]  # fmt: skip


def score(config: Config, checkpoint: Path) -> Row:
    """Run `--mode test`, and return its seconds, those of each part, and the scores."""
    begun = time.perf_counter()
    volumes = open_labelled(config.data.test, "data.test", config.model.in_channels, need_label=True)
    job = build_job("test", config, [checkpoint], volumes, config.data.test)
    with _parts_timed() as parts:
        run = test_mode.test(job)
    whole = time.perf_counter() - begun
    shares = ", ".join(f"{name.strip('_')} {seconds:.2f}" for name, seconds in parts.items())
    mean = json.dumps(json.loads(run.metrics.read_text(encoding="utf-8"))["mean"])
    times = f"{whole / parts['_find']:.2f}" if parts.get("_find") else "not told apart"
    return {"s": round(whole, 2), "of it": shares, "times the prediction": times, "scores": mean}


@contextmanager
def _parts_timed() -> Iterator[dict[str, float]]:
    """Count the seconds of each of `PARTS` that test mode still has."""
    seconds: dict[str, float] = {}

    def timed(name: str, usual: Callable[..., Any]) -> Callable[..., Any]:
        def run(*args: Any, **options: Any) -> Any:
            begun = time.perf_counter()
            try:
                return usual(*args, **options)
            finally:
                seconds[name] = seconds.get(name, 0.0) + time.perf_counter() - begun

        return run

    there = vars(test_mode)
    with ExitStack() as stack:
        for name in PARTS:
            if name in there:
                stack.enter_context(mock.patch.object(test_mode, name, timed(name, there[name])))
        yield seconds
