"""Stage (a): versions, the kernels that are taken, bf16 against float32, and the tests that need a GPU."""

from __future__ import annotations

import platform
import subprocess
import sys
from pathlib import Path

import torch
from torch.profiler import ProfilerActivity, profile

from benchmarks.gpu_stages.bench import Bench, Report, Training, roof
from connectomics.models.build import choose_memory_format
from connectomics.models.fold import fold_batch_norm
from connectomics.runs.network import forward_on
from connectomics.training.devices import cudnn_remark
from connectomics.training.module import SegmentationModule

LOSS_BOUND = 0.02
"""How far, relative to itself, the loss of a patch in bf16 may lie from that in float32."""
LOGIT_BOUND = 0.08
"""How far logits in bf16 may lie from those in float32, both as root mean squares: twice the 2.7 % (batch norm) and
3.9 % (instance norm) that a CPU has with the tutorial's network before training. A bound on probabilities would say
more of how large the logits of an untrained network are."""
SLOW_KERNELS = ("slow_conv", "vol2col")
TESTS = Path(__file__).resolve().parents[2] / "tests"


def check(bench: Bench, report: Report) -> None:
    """Report what is installed and whether the numbers are right."""
    _versions(bench, report)
    _kernels(bench, report)
    _loss(bench, report)
    _logits(bench, report)
    _tests(bench, report)


def _versions(bench: Bench, report: Report) -> None:
    report({"what": "Python, torch", "found": f"{platform.python_version()}, {torch.__version__}", "good": True})
    if bench.on_gpu:
        card = torch.cuda.get_device_properties(bench.device)
        report({"what": "GPU", "found": f"{card.name}, {card.total_memory / 2**30:.0f} GiB", "good": True})
        cuda = f"CUDA {torch.version.cuda}, cuDNN {torch.backends.cudnn.version()}"
        report({"what": "CUDA", "found": cudnn_remark() or cuda, "good": cudnn_remark() is None})
    report({"what": "product of bf16 matrices", "found": f"{roof(bench):.3g} TFLOP/s", "good": True})


def _module(bench: Bench) -> SegmentationModule:
    torch.manual_seed(0)
    return bench.module()


def _kernels(bench: Bench, report: Report) -> None:
    """Report the slow kernels that a training step takes; there should be none."""
    module = _module(bench)
    training = Training(bench, module, module.model, bench.sizes.batches[0])
    training.step()
    activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if bench.on_gpu else [])]
    with profile(activities=activities) as profiled:
        training.step()
        bench.wait()
    names = {event.key for event in profiled.key_averages()}
    slow = sorted(name for name in names if any(part in name for part in SLOW_KERNELS))
    found = f"{len(names)} kernels and operators, slow ones: {', '.join(slow) or 'none'}"
    report({"what": "profile of a training step", "found": found, "good": not slow})


def _loss(bench: Bench, report: Report) -> None:
    losses = {}
    for bf16 in (False, True):
        module = _module(bench)
        losses[bf16] = float(Training(bench, module, module.model, 1, bf16).loss().detach())
    apart = abs(losses[True] / losses[False] - 1)
    found = f"{losses[True]:.5f} and {losses[False]:.5f}, {apart:.2%} apart (bound {LOSS_BOUND:.0%})"
    report({"what": "loss of a patch, bf16 and float32", "found": found, "good": apart <= LOSS_BOUND})


def _logits(bench: Bench, report: Report) -> None:
    config, module = bench.config("test"), _module(bench)
    with torch.no_grad():  # the statistics of its norms become those of such windows, as in a trained network
        for _ in range(30):
            module.model(torch.rand((2, 1, *bench.sizes.patch), device=bench.device))
    folded, form = fold_batch_norm(module.model.cpu()), choose_memory_format(config.model, bench.on_gpu)
    window = torch.rand((1, 1, *bench.sizes.patch), generator=torch.Generator().manual_seed(1)).to(bench.device)
    found = [forward_on(bench.device, folded, form, name, False)(window) for name in ("32-true", "bf16-mixed")]
    apart = float((found[1] - found[0]).square().mean().sqrt() / found[0].square().mean().sqrt())
    text = f"{apart:.2%} apart (bound {LOGIT_BOUND:.0%})"
    report({"what": "logits of a window, bf16 and float32", "found": text, "good": apart <= LOGIT_BOUND})


def _tests(bench: Bench, report: Report) -> None:
    """Run the tests that need a GPU, in a process of their own; without a GPU they are skipped."""
    command = [sys.executable, "-m", "pytest", "-q", "-m", "gpu", "-p", "no:cacheprovider", str(TESTS / "test_gpu.py")]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=max(1.0, bench.left),
                              cwd=TESTS.parent)  # fmt: skip
    except subprocess.TimeoutExpired:
        report({"what": "tests marked gpu", "found": "not done in time", "good": False})
        return
    last = (done.stdout.strip() or done.stderr.strip() or "no output").splitlines()[-1]
    report({"what": "tests marked gpu", "found": last, "good": done.returncode == 0})
