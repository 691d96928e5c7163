"""Stage (e): the tutorial's network, trained on real volumes for the time that is left, and tested."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.gpu_stages.bench import Bench, Report, Training, milliseconds
from benchmarks.gpu_stages.predicting import quick, score
from connectomics.runs.train import train
from connectomics.training.interruption import TrainingInterrupted

RESERVE = 0.35
"""Share of the stage that is kept for the test."""
SPARE = 0.8
"""Share of the steps that would fill the time if nothing but steps took any."""


def learn(bench: Bench, report: Report) -> None:
    """Train until the time is over, and report the scores; without real volumes, on the phantom, which is said."""
    (image, label), (seen, truth), what = _volumes(bench)
    none = "data.train.mask=[]", "data.train.crop=null", "data.train.resolution=null"
    names = [f"data.train.image=[{image}]", f"data.train.label=[{label}]", *none, "data.val.image=[]",
             "data.val.label=[]", "data.val.mask=[]",
             f"data.dataloader.batch_size={bench.sizes.batches[0]}"]  # fmt: skip
    budget, took = bench.left * (1 - RESERVE), _step(bench)
    steps = max(4, int(SPARE * budget / took)) if bench.on_gpu else 4
    job = bench.job(*names, *quick(steps), f"system.num_workers={bench.sizes.workers[-1]}")
    begun = time.perf_counter()
    try:
        with asked_to_stop_after(budget):
            checkpoint, ended = train(job).last_checkpoint, "to its end"
    except TrainingInterrupted as interrupted:
        if interrupted.checkpoint is None:
            report({"what": f"training on {what}", "note": "the time was over before a step was complete"})
            return
        checkpoint, ended = interrupted.checkpoint, "until the time was over"
    report({"what": f"training on {what}", "steps": steps, "s": round(time.perf_counter() - begun, 1), "ended": ended})
    tested = bench.config("test", f"data.test.image=[{seen}]", f"data.test.label=[{truth}]", "data.test.mask=[]",
                          "data.test.resolution=null", "data.test.crop=null", "inference.preset=fast")  # fmt: skip
    report({"what": f"test on {what}"} | score(tested, checkpoint))


@contextmanager
def asked_to_stop_after(seconds: float) -> Iterator[None]:
    """Ask the training inside to stop after so many seconds, each second until it does.

    A training that is asked to stop saves first; its learning rate is then not yet at its end. Before and after its
    steps nobody listens, and the signal, which would end the process, is held off.
    """
    before, over = signal.signal(signal.SIGUSR1, signal.SIG_IGN), threading.Event()

    def ask() -> None:
        wait = max(1.0, seconds)
        while not over.wait(wait):
            os.kill(os.getpid(), signal.SIGUSR1)
            wait = 1.0

    asking = threading.Thread(target=ask, daemon=True)
    asking.start()
    try:
        yield
    finally:
        over.set()
        asking.join()
        signal.signal(signal.SIGUSR1, before)


def _step(bench: Bench) -> float:
    """Return the seconds of a training step."""
    module = bench.module()
    seconds = milliseconds(bench, Training(bench, module, module.model, bench.sizes.batches[0]).step) / 1000
    del module
    bench.forget()
    return seconds


def _volumes(bench: Bench) -> tuple[tuple[Path, Path], tuple[Path, Path], str]:
    """Return image and label of the training and of the test, and what they show."""
    if bench.data is None:
        return bench.volumes(), bench.volumes(), "the phantom, the same volume, which proves nothing"
    pairs = [(one, one.with_name(one.name.replace("im_", "syn_", 1))) for one in sorted(bench.data.glob("im_*.h5"))]
    named = {part: pair for pair in pairs for part in ("train", "val") if part in pair[0].stem}
    return named["train"], named["val"], f"real strips of {bench.data.name}"
