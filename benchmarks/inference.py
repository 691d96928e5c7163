"""Whole-volume inference against MONAI's sliding window: seconds and peak host memory, at several depths of a volume.

    python benchmarks/inference.py                                          # engine: a small network, three depths
    python benchmarks/inference.py --filters 32 64 96 128 160 --depths 36 --plane 256 256 --views 1 --batch 1

Network, windows, overlap, views, precision and batch are the same; both read an HDF5 image and write an HDF5 file.
"forwards" is the bound: the same forward passes on windows that are in memory already, and nothing else. Every figure
comes from a process of its own; the variants take turns; figures are the least of the repeats, without start-up. On a
machine that others use too, give `--threads 1` and read the CPU seconds: the work that was done, whoever else ran.
"""

from __future__ import annotations

import argparse
import itertools
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from math import ceil, prod
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from connectomics.config import Config
from connectomics.config.model import ModelConfig, RSUNetConfig
from connectomics.inference import SAVED_TYPES, Lane, plan_inference, predict_into
from connectomics.inference.views import all_views
from connectomics.models import build_model
from connectomics.models.fold import fold_batch_norm
from connectomics.volumes.intensity import IntensityRange
from connectomics.volumes.read import open_volume, read_volume
from connectomics.volumes.stage import StagedVolume
from connectomics.volumes.write import write_volume

GREY = IntensityRange(0, 255)
AXES = {1: [], 2: [2], 4: [1, 2], 8: [0, 1, 2]}


def build_forward(args: argparse.Namespace) -> Callable[[Tensor], Tensor]:
    """Build the network, with the same weights in every process."""
    torch.manual_seed(0)
    settings = RSUNetConfig(filters=args.filters, down_factors=[(1, 2, 2)] * (len(args.filters) - 1))
    network = fold_batch_norm(build_model(ModelConfig(rsunet=settings)))

    @torch.inference_mode()
    def forward(windows: Tensor) -> Tensor:
        with torch.autocast("cpu", torch.bfloat16):
            return network(windows.contiguous(memory_format=torch.channels_last_3d)).float()

    return forward


def predict_ours(args: argparse.Namespace, image: Path, target: Path) -> None:
    """Predict as `--mode test` does, staging included."""
    config = Config()
    window, augmentation = config.inference.window, config.inference.test_time_augmentation
    window.window_size, window.overlap, window.sw_batch_size = tuple(args.window), 0.5, args.batch
    window.blending, augmentation.flip_axes = "gaussian", AXES[args.views]
    plan = plan_inference(config.inference, config.data, config.model)
    saved, source = SAVED_TYPES["float32"], open_volume(str(image))
    lanes = [Lane(build_forward(args), torch.device("cpu"))]
    with StagedVolume(target, 1, source.shape, saved.dtype, {}, {}) as stage:
        for _ in predict_into(stage, saved, source, GREY, plan, lanes):
            pass


def predict_with_monai(args: argparse.Namespace, image: Path, target: Path) -> None:
    """Predict with `sliding_window_inference`; the views of a batch of windows are averaged before it blends them."""
    from monai.inferers import sliding_window_inference

    forward, views = build_forward(args), all_views(AXES[args.views])

    def predictor(windows: Tensor) -> Tensor:
        joined = torch.zeros_like(windows)
        for view in views:
            joined += view.undo(torch.sigmoid(forward(view.of(windows))))
        return joined / len(views)

    volume = torch.from_numpy(GREY.scale(read_volume(str(image)).voxels))[None]
    with torch.inference_mode():
        prediction = sliding_window_inference(volume, args.window, args.batch, predictor, overlap=0.5, mode="gaussian")
    write_volume(target, prediction[0].numpy(), {})


def forward_only(args: argparse.Namespace, image: Path, target: Path) -> None:
    """Run the forward passes that the prediction needs, and nothing else."""
    forward, shape = build_forward(args), open_volume(str(image)).shape
    count = prod(_num_windows(n, size) for n, size in zip(shape, args.window, strict=True)) * args.views
    windows = torch.rand(args.batch, 1, *args.window)
    for _ in range(count // args.batch):
        forward(windows)
    if count % args.batch:
        forward(windows[: count % args.batch])


def _num_windows(extent: int, size: int) -> int:
    return max(1, ceil((extent - size) / round(size / 2)) + 1)


VARIANTS = {"ours": predict_ours, "monai": predict_with_monai, "forwards": forward_only}


def measure(args: argparse.Namespace, variant: str, image: Path) -> dict[str, float]:
    """Run one variant in a new process, and return its seconds and its peak memory in MiB."""
    command = [sys.executable, __file__, "--variant", variant, "--image", str(image)]
    for name in ("filters", "window", "views", "batch", "threads"):
        value = getattr(args, name)
        command += [f"--{name}", *map(str, value if isinstance(value, list) else [value])]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.stderr)
    return json.loads(done.stdout.splitlines()[-1])


def run_variant(args: argparse.Namespace) -> None:
    """Run one variant in this process, and print its figures."""
    torch.set_num_threads(args.threads)
    with tempfile.TemporaryDirectory() as folder:
        build_forward(args)(torch.rand(args.batch, 1, *args.window))  # warm-up
        if args.variant == "monai":
            import monai.inferers  # noqa: F401
        begun, begun_cpu = time.perf_counter(), time.process_time()
        VARIANTS[args.variant](args, args.image, Path(folder) / "prediction.h5")
        figures = {"seconds": time.perf_counter() - begun, "cpu": time.process_time() - begun_cpu}
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(json.dumps(figures | {"peak": peak / 1024}))


def main() -> None:
    """Print one table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--depths", type=int, nargs="+", default=[40, 80, 160])
    parser.add_argument("--plane", type=int, nargs=2, default=[384, 384])
    parser.add_argument("--window", type=int, nargs=3, default=[18, 256, 256])
    parser.add_argument("--filters", type=int, nargs="+", default=[2, 4])
    parser.add_argument("--views", type=int, choices=AXES, default=8)
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--variant", choices=VARIANTS, help=argparse.SUPPRESS)
    parser.add_argument("--image", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.variant:
        run_variant(args)
        return
    names = ("filters", "window", "views", "batch", "threads")
    print(", ".join(f"{name} {vars(args)[name]}" for name in names) + ", overlap 0.5, bf16")
    print(f"{'volume':>18} {'variant':>10} {'seconds':>9} {'of CPU':>9} {'/ forwards':>11} {'peak MiB':>9}", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        for depth in args.depths:
            shape, image = (depth, *args.plane), Path(folder) / f"image_{depth}.h5"
            write_volume(image, np.random.default_rng(0).integers(0, 256, shape, np.uint8), {})
            figures: dict[str, list[dict[str, float]]] = {variant: [] for variant in VARIANTS}
            for _, variant in itertools.product(range(args.repeats), VARIANTS):
                figures[variant].append(measure(args, variant, image))
            bound = min(one["cpu"] for one in figures["forwards"])
            for variant, ones in figures.items():
                seconds, cpu, peak = (min(one[name] for one in ones) for name in ("seconds", "cpu", "peak"))
                name = " x ".join(map(str, shape))
                print(f"{name:>18} {variant:>10} {seconds:9.2f} {cpu:9.2f} {cpu / bound:11.3f} {peak:9.0f}", flush=True)


if __name__ == "__main__":
    main()
