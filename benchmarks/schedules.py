"""How far quick schedules of inference deviate from the exact one, on a small network trained on the synthetic phantom.

    python benchmarks/schedules.py --steps 300

Cost is the number of voxels that go through the network; rms is over all probabilities; IoU compares the masks at 0.5.
Jaccard compares each mask with the phantom's own clefts.
"""

from __future__ import annotations

import argparse
import sys
import time
from math import prod
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from connectomics.config import Config
from connectomics.config.inference import TestTimeAugmentationConfig as Views
from connectomics.config.inference import WindowConfig
from connectomics.config.model import LossConfig, ModelConfig, RSUNetConfig
from connectomics.inference import Lane, plan_inference, predict_volume
from connectomics.losses import Criterion
from connectomics.models import build_model
from connectomics.models.fold import fold_batch_norm
from connectomics.phantom import make_phantom
from connectomics.volumes.intensity import IntensityRange
from connectomics.volumes.source import ArraySource

GREY = IntensityRange(0, 255)
WINDOW = (18, 64, 64)
CPU = torch.device("cpu")


def train_network(steps: int) -> nn.Module:
    """Train a small network on one phantom, with flips and the two losses of the tutorial."""
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    phantom = make_phantom((48, 320, 320), np.random.default_rng(1))
    settings = RSUNetConfig(filters=[8, 12, 16, 24], down_factors=[(1, 2, 2)] * 3)
    network = build_model(ModelConfig(rsunet=settings))
    criterion = Criterion(LossConfig(), 1, 1)
    optimizer = torch.optim.AdamW(network.parameters(), lr=3e-3)
    scheduler = torch.optim.lr_scheduler.OneCycleLR(optimizer, 3e-3, total_steps=steps)
    for _ in range(steps):
        patches = [_draw(phantom.image, phantom.label, rng) for _ in range(3)]
        image = torch.from_numpy(np.stack([GREY.scale(image) for image, _ in patches]))[:, None]
        label = torch.from_numpy(np.stack([(label != 0).astype(np.float32) for _, label in patches]))[:, None]
        with torch.autocast("cpu", torch.bfloat16):
            logits = network(image.contiguous(memory_format=torch.channels_last_3d))
        loss = sum(criterion(logits.float(), label, torch.ones_like(label)).values())
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        scheduler.step()
    print(f"trained for {steps} steps, loss {loss.item():.3f}", flush=True)
    return fold_batch_norm(network)


def _draw(image: NDArray, label: NDArray, rng: np.random.Generator) -> tuple[NDArray, NDArray]:
    """Return a patch of a window's size, mirrored at random; one in ten may lack clefts."""
    while True:
        start = [int(rng.integers(0, n - size + 1)) for n, size in zip(image.shape, WINDOW, strict=True)]
        where = tuple(slice(a, a + size) for a, size in zip(start, WINDOW, strict=True))
        if (label[where] != 0).sum() > 200 or rng.random() < 0.1:
            flips = [axis for axis in range(3) if rng.random() < 0.5]
            return np.flip(image[where], tuple(flips)), np.flip(label[where], tuple(flips))


def schedule(
    views: Views | None = None,
    *,
    preset: Literal["exact", "fast"] = "exact",
    overlap: float = 0.5,
    whole_plane: bool | None = None,
) -> Config:
    """Return the exact settings, some of them changed."""
    config = Config()
    config.model.rsunet.down_factors = [(1, 2, 2)] * 3
    inference = config.inference
    inference.window = WindowConfig(window_size=WINDOW, overlap=overlap, whole_plane=whole_plane)
    inference.test_time_augmentation = views or Views()
    inference.preset = preset
    return config


SCHEDULES = {
    "exact, float32": schedule(),
    "exact": schedule(),
    "overlap 25 %": schedule(overlap=0.25),
    "whole plane": schedule(whole_plane=True),
    "4 of 8 views": schedule(Views(views_per_window=4)),
    "fast": schedule(preset="fast"),
    "whole plane, 2 of 8": schedule(Views(views_per_window=2), whole_plane=True),
    "only in-plane flips": schedule(Views(flip_axes=[1, 2])),
    "no views": schedule(Views(enabled=False)),
}
"""All but the first in bf16."""


def predict(network: nn.Module, image: NDArray, config: Config, bf16: bool) -> tuple[NDArray, int]:
    """Return the probabilities, and the voxels that went through the network."""
    seen = [0]

    def forward(windows: Tensor) -> Tensor:
        seen[0] += windows.numel()
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            return network(windows.contiguous(memory_format=torch.channels_last_3d)).float()

    stream = predict_volume(
        ArraySource.of(image), GREY, plan_inference(config.inference, config.data, config.model), [Lane(forward, CPU)]
    )
    return np.concatenate([sections.voxels for sections in stream], axis=1)[0], seen[0]


def _iou(a: NDArray, b: NDArray) -> float:
    return (a & b).sum() / max(1, (a | b).sum())


def main() -> None:
    """Train, predict another phantom by every schedule, and print one table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--shape", type=int, nargs=3, default=[36, 256, 256])
    args = parser.parse_args()
    network = train_network(args.steps)
    phantom = make_phantom(tuple(args.shape), np.random.default_rng(2))
    reference, cost = predict(network, phantom.image, SCHEDULES["exact, float32"], bf16=False)
    print(f"{'schedule':>22} {'cost':>7} {'rms of p':>9} {'IoU':>7} {'Jaccard':>8} {'seconds':>8}")
    for i, (name, config) in enumerate(SCHEDULES.items()):
        begun = time.perf_counter()
        probability, seen = predict(network, phantom.image, config, bf16=i > 0)
        seconds = time.perf_counter() - begun
        rms = float(np.sqrt(np.mean((probability - reference) ** 2)))
        same, right = _iou(probability > 0.5, reference > 0.5), _iou(probability > 0.5, phantom.label != 0)
        print(f"{name:>22} {f'1/{cost / seen:.2f}':>7} {rms:9.4f} {same:7.4f} {right:8.3f} {seconds:8.1f}", flush=True)
    print(f"{prod(args.shape):,} voxels")


if __name__ == "__main__":
    main()
