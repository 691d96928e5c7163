"""How much a trained network depends on whose weights it has, and whose statistics its batch norms.

    python benchmarks/averages.py last.ckpt im_vnc_train.h5 syn_vnc_train.h5 im_vnc_val.h5 syn_vnc_val.h5

Scores the whole second volume as one window, at the threshold 0.5, with the latest and with the averaged weights of a
checkpoint, and with the statistics of either, or measured anew on 32 patches of the first volume: of such that hold a
synapse, or of such anywhere. `--views` averages the 8 mirrored views.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from connectomics.config import Config
from connectomics.config.convert import Origins, convert
from connectomics.geometry import ZYX, Spacing
from connectomics.inference.views import Ensemble, all_views
from connectomics.metrics import LabelPair, score_volume
from connectomics.models import build_model
from connectomics.runs.network import forward_on
from connectomics.training.checkpoints import SETTINGS_KEY, load_weights, network_weights, read_checkpoint
from connectomics.volumes.intensity import measure_intensity
from connectomics.volumes.labels import read_label
from connectomics.volumes.read import open_volume

PATCHES = 32
METRICS = ("jaccard", "precision", "recall", "cremi_distance")


def read_scaled(path: str) -> Tensor:
    """Return an image as (1, 1, Z, Y, X), its grey values from 0 to 1."""
    source = open_volume(path)
    intensity = measure_intensity(source, "0-1", 0.0, 1.0)
    return torch.from_numpy(intensity.scale(source.read_all()))[None]


def draw_patches(image: Tensor, truth: np.ndarray, size: ZYX, least: int, rng: np.random.Generator) -> Iterator[Tensor]:
    """Yield patches that hold at least so many foreground voxels."""
    found = 0
    while found < PATCHES:
        start = [int(rng.integers(0, extent - n + 1)) for extent, n in zip(truth.shape, size, strict=True)]
        box = tuple(slice(a, a + n) for a, n in zip(start, size, strict=True))
        if truth[box].sum() >= least:
            found += 1
            yield image[(..., *box)]


def measure_again(model: nn.Module, patches: Iterator[Tensor]) -> None:
    """Replace the statistics of all batch norms by those of the patches, one a batch."""
    for module in model.modules():
        if isinstance(module, nn.BatchNorm3d):
            module.reset_running_stats()
            module.momentum = None  # the plain mean of all batches
    model.train()
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        for patch in patches:
            model(patch)
    model.eval()


def score(model: nn.Module, image: Tensor, truth: np.ndarray, spacing: Spacing, config: Config, views: bool) -> str:
    """Return the scores of a volume, whose voxels have a size of `spacing` nm."""
    forward = forward_on(torch.device("cpu"), model.eval(), config)
    ensemble = Ensemble("mean")
    for view in all_views("all" if views else []):
        ensemble.add(view.undo(torch.sigmoid(forward(view.of(image)))))
    pair = LabelPair(ensemble.result()[0, 0].numpy() >= 0.5, truth, spacing)
    scores = score_volume(pair, METRICS)
    distance = scores.pop("cremi_distance")
    said = "  ".join(f"{name} {value:.3f}" for name, value in scores.items())
    return f"{said}  CREMI {distance['score']:.1f} nm" if distance else said


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("files", nargs=4, metavar="FILE", help="image and label of training, image and label to score")
    parser.add_argument("--views", action="store_true", help="8 mirrored views")
    args = parser.parse_args()
    checkpoint = read_checkpoint(args.checkpoint)
    config = convert(Config, checkpoint[SETTINGS_KEY], "", Origins(str(args.checkpoint)))
    image, truth = read_scaled(args.files[0]), read_label(open_volume(args.files[1], "label")).ids > 0
    scored, label = read_scaled(args.files[2]), open_volume(args.files[3], "label")
    annotated, spacing = read_label(label).ids, label.info.spacing_nm
    if spacing is None:
        raise SystemExit(f"{args.files[3]} does not state its voxel size")
    states = {name: network_weights(checkpoint, args.checkpoint, name == "averaged") for name in ("latest", "averaged")}
    loader = config.data.dataloader
    for whose, weights in states.items():
        for statistics in (*states, "patches with a synapse", "patches anywhere"):
            model = build_model(config.model)
            held = {key: states.get(statistics, weights)[key] for key in weights if "running" in key}
            load_weights(model, {**weights, **held}, args.checkpoint)
            if statistics not in states:
                least = loader.reject_sampling.size_thres if statistics == "patches with a synapse" else 0
                rng = np.random.default_rng(1)
                measure_again(model, draw_patches(image, truth, loader.patch_size, least, rng))
            said = score(model, scored, annotated, spacing, config, args.views)
            print(f"weights {whose:8}  statistics {statistics:22}  {said}", flush=True)


if __name__ == "__main__":
    main()
