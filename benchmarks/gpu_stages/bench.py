"""What every stage is given: the device, the sizes, the time; and what they share in measuring."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from connectomics.config import Config, load_config
from connectomics.data.learning_sources import open_learning
from connectomics.geometry import ZYX
from connectomics.inference.memory import is_out_of_memory
from connectomics.phantom import make_phantom
from connectomics.runs.training_job import TrainingJob, build_learning, build_training_job
from connectomics.training.module import SegmentationModule
from connectomics.volumes.write import write_volume

TUTORIAL = Path(__file__).resolve().parents[2] / "tutorials" / "syn_cremi.yaml"
SEED_SHAPE: ZYX = (24, 256, 256)

Row = dict[str, Any]
Report = Callable[[Row], None]
"""Takes one row of a stage's table, and writes it at once."""


@dataclass(frozen=True, slots=True)
class Sizes:
    """How large everything is."""

    patch: ZYX
    batches: tuple[int, ...]
    filters: tuple[int, ...]
    warm_up: int
    repeats: int
    workers: tuple[int, ...]
    loader_steps: int
    volume: ZYX
    matrix: int
    """Side of the matrices whose product measures what the device can do."""
    backend: str
    """Of `torch.compile`."""
    foreground: int
    """Voxels of foreground below which a patch is rarely taken."""


FULL = Sizes((18, 256, 256), (4, 8, 16), (32, 64, 96, 128, 160), 3, 8, (2, 4, 8, 15), 40, (125, 1250, 1250), 8192,
             "inductor", 1000)  # fmt: skip
TINY = Sizes((4, 32, 32), (1,), (4, 8), 1, 1, (0, 1), 3, (16, 96, 96), 128, "aot_eager", 1)


@dataclass(frozen=True, slots=True)
class Bench:
    """What a stage works with."""

    device: torch.device
    sizes: Sizes
    deadline: float
    """When the stage must have ended, as `time.monotonic` counts."""
    folder: Path
    """For its volumes and runs."""
    data: Path | None
    """Folder of real volumes, if there are any."""

    @property
    def left(self) -> float:
        """Seconds until the deadline."""
        return self.deadline - time.monotonic()

    @property
    def on_gpu(self) -> bool:
        """Whether the device is a GPU."""
        return self.device.type == "cuda"

    def wait(self) -> None:
        """Wait until the device has done what it was given."""
        if self.on_gpu:
            torch.cuda.synchronize()

    def forget(self) -> None:
        """Give back what earlier measurements hold, and count the peak anew."""
        gc.collect()
        if self.on_gpu:
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats()

    def peak(self) -> float | None:
        """Return the most memory of the GPU since `forget`, in GiB."""
        return round(torch.cuda.max_memory_allocated() / 2**30, 2) if self.on_gpu else None

    def config(self, mode: str, *overrides: str) -> Config:
        """Return the tutorial's settings at these sizes, on this device."""
        sizes, factors = self.sizes, [[1, 2, 2]] * (len(self.sizes.filters) - 1)
        usual = [
            f"save_path={self.folder / 'runs'}", f"system.num_gpus={int(self.on_gpu)}",
            f"model.rsunet.filters={list(sizes.filters)}", f"model.rsunet.down_factors={factors}",
            f"data.dataloader.patch_size={list(sizes.patch)}",
            f"data.dataloader.reject_sampling.size_thres={sizes.foreground}",
        ]  # fmt: skip
        return load_config(TUTORIAL, [*usual, *overrides], mode)

    def module(self, *overrides: str) -> SegmentationModule:
        """Return the tutorial's network in training, on this device."""
        return SegmentationModule(build_learning(self.config("train", *overrides))).to(self.device)

    def job(self, *overrides: str) -> TrainingJob:
        """Return a training of the tutorial's network."""
        config = self.config("train", *overrides)
        return build_training_job(config, open_learning(config.data, config.model.in_channels))

    def volumes(self) -> tuple[Path, Path]:
        """Return an image and its label at the size of the volume: a phantom, mirrored, with new noise everywhere."""
        image, label = self.folder / "im_bench.h5", self.folder / "syn_bench.h5"
        if not label.exists():
            shape = self.sizes.volume
            least = tuple(max(12, min(n, m)) for n, m in zip(shape, SEED_SHAPE, strict=True))
            rng = np.random.default_rng(0)
            phantom = make_phantom((least[0], least[1], least[2]), rng, synapses_per_um3=40.0)
            margins = [(0, max(0, n - m)) for n, m in zip(shape, least, strict=True)]
            grey = np.pad(phantom.image, margins, mode="symmetric")
            for section in grey:
                section[:] = (section + rng.normal(0, 9, section.shape).astype(np.float32)).clip(0, 255)
            attributes = {"resolution": np.array(phantom.spacing_nm)}
            write_volume(image, grey, attributes)
            write_volume(label, np.pad(phantom.label, margins, mode="symmetric"), attributes)
        return image, label


def milliseconds(bench: Bench, step: Callable[[], object]) -> float:
    """Return the median of the milliseconds that a step takes, after some to warm up; the device is waited for."""
    times = []
    for repeat in range(bench.sizes.warm_up + bench.sizes.repeats):
        bench.wait()
        begun = time.perf_counter()
        step()
        bench.wait()
        if repeat >= bench.sizes.warm_up:
            times.append((time.perf_counter() - begun) * 1000)
    return float(np.median(times))


def flops_of(step: Callable[[], object]) -> int:
    """Return the floating-point operations of a step."""
    counter = FlopCounterMode(display=False)
    with counter:
        step()
    return counter.get_total_flops()


def roof(bench: Bench) -> float:
    """Return the TFLOP/s of a product of bf16 matrices on this device, which nothing else reaches."""
    a, b = (torch.randn(bench.sizes.matrix, bench.sizes.matrix, device=bench.device).bfloat16() for _ in range(2))
    return 2 * bench.sizes.matrix**3 / milliseconds(bench, lambda: a @ b) / 1e9


def fits(step: Callable[[], Row]) -> Row:
    """Return the row of a measurement, or that the memory is too small for it."""
    try:
        return step()
    except RuntimeError as error:
        if not is_out_of_memory(error):
            raise
        return {"note": "out of memory"}


class Training:
    """One training step of a network, as the trainer does it: loss, gradient, clipping, fused AdamW."""

    def __init__(
        self, bench: Bench, module: Any, network: Callable[[Tensor], Tensor], batch: int, bf16: bool = True
    ) -> None:
        shape = (batch, 1, *bench.sizes.patch)
        self.module, self.network, self.bf16 = module, network, bf16
        image = torch.rand(shape, generator=torch.Generator().manual_seed(0))
        self.image = image.to(bench.device).contiguous(memory_format=module.memory_format)
        self.label = (self.image > 0.98).float()
        self.valid = torch.ones(shape, dtype=torch.bool, device=bench.device)
        self.optimizer = torch.optim.AdamW(module.model.parameters(), lr=1e-4, fused=True)

    def loss(self) -> Tensor:
        """Return the loss of the batch."""
        with torch.autocast(self.image.device.type, torch.bfloat16, enabled=self.bf16):
            logits = self.network(self.image)
            terms = self.module.criterion(logits, self.label, self.valid)
        return torch.stack(list(terms.values())).sum()

    def step(self) -> None:
        """Do one step."""
        self.optimizer.zero_grad(set_to_none=True)
        self.loss().backward()
        nn.utils.clip_grad_norm_(self.module.model.parameters(), 1.0)
        self.optimizer.step()
