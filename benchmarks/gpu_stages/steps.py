"""Stage (b): the training step, in every order of memory, as sections and as volumes, eager and compiled."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from itertools import product

import torch

from benchmarks.gpu_stages.bench import Bench, Report, Row, Training, fits, flops_of, milliseconds, roof
from connectomics.models import layers

FORMATS = ("channels_last_3d", "contiguous")
COMPILING = 40
"""Seconds that must be left for a variant to be compiled; all eager ones are measured before the first."""


def time_steps(bench: Bench, report: Report) -> None:
    """Report the training step of each variant; what the time does not suffice for is named."""
    top = roof(bench)
    for compiled, batch, form, in_2d in product((False, True), bench.sizes.batches, FORMATS, (True, False)):
        named = {"batch": batch, "order": form, "(1, 3, 3)": "2-D" if in_2d else "3-D",
                 "how": "compiled" if compiled else "eager"}  # fmt: skip
        if in_2d and form == "contiguous":
            if not compiled:
                report(named | {"how": "any", "note": "there is none: sections share memory in channels-last only"})
        elif bench.left < (COMPILING if compiled and bench.on_gpu else 5):
            report(named | {"note": "no time left"})
        else:
            report(named | fits(partial(_measure, bench, batch, form, in_2d, compiled, top)))


def _measure(bench: Bench, batch: int, form: str, in_2d: bool, compiled: bool, top: float) -> Row:
    bench.forget()
    torch.manual_seed(0)
    with _sections(in_2d):
        torch.compiler.reset()
        module = bench.module(f"model.memory_format={form}")
        flops = flops_of(Training(bench, module, module.model, batch).step)
        bench.forget()
        network = torch.compile(module.model, backend=bench.sizes.backend, dynamic=False) if compiled else module.model
        took = milliseconds(bench, Training(bench, module, network, batch).step)
    rate = flops / took / 1e9
    return {"ms": round(took, 2), "TFLOP/s": float(f"{rate:.3g}"), "of the roof": f"{rate / top:.1%}",
            "GiB": bench.peak()}  # fmt: skip


@contextmanager
def _sections(wanted: bool) -> Iterator[None]:
    """Let layers of depth one work in 2-D over sections, as they do by themselves, or in 3-D."""
    usual = layers.as_sections
    if not wanted:
        layers.as_sections = lambda volume: None
    try:
        yield
    finally:
        layers.as_sections = usual
