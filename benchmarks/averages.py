"""How much a trained network depends on whose weights it has, and whose statistics its batch norms.

    python benchmarks/averages.py RUN/checkpoints/last.ckpt

Scores the validation volumes of the run, each as one window at the threshold 0.5, with the latest and with the averaged
weights of the checkpoint, and with the statistics of either, or measured anew on 32 training patches: as the training
draws them, only such that hold a synapse, and such anywhere. `--views` averages the 8 mirrored views.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable
from copy import deepcopy
from pathlib import Path

import torch
from torch import Tensor, nn

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from connectomics.config import Config
from connectomics.config.convert import Origins, convert
from connectomics.data.datasets import PatchCutter
from connectomics.data.learning_sources import open_learning
from connectomics.data.resample import Geometry
from connectomics.inference.views import Ensemble, all_views
from connectomics.metrics import LabelPair, mean_over_volumes, score_volume
from connectomics.models import build_model
from connectomics.models.build import choose_memory_format
from connectomics.runs.network import forward_on
from connectomics.runs.training_job import build_data
from connectomics.training.checkpoints import SETTINGS_KEY, load_weights, network_weights, read_checkpoint

PATCHES = 32
METRICS = ("jaccard", "precision", "recall", "cremi_distance")
DRAWN = {"patches as in training": None, "patches with a synapse": 1.0, "patches anywhere": 0.0}
"""How patches are drawn, to `reject_sampling.p`; None is what the training had."""


def draw_patches(config: Config, p: float | None) -> list[Tensor]:
    """Return the images of training patches, each a batch of its own."""
    changed = deepcopy(config)
    if p is not None:
        changed.data.dataloader.reject_sampling.p = p
    patches = build_data(changed, open_learning(changed.data, changed.model.in_channels)).training_patches()
    return [patches[number]["image"][None] for number in range(PATCHES)]


def measure_again(model: nn.Module, patches: Iterable[Tensor]) -> None:
    """Replace the statistics of all batch norms by those of patches."""
    for module in model.modules():
        if isinstance(module, nn.BatchNorm3d):
            module.reset_running_stats()
            module.momentum = None  # the plain mean of all batches
    model.train()
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        for patch in patches:
            model(patch)


def score(model: nn.Module, config: Config, cutter: PatchCutter, views: bool) -> str:
    """Return the mean scores of the volumes."""
    form = choose_memory_format(config.model, on_gpu=False)
    forward = forward_on(torch.device("cpu"), model.eval(), form, config.inference.precision, config.inference.compile)
    scores = {}
    for number, volume in enumerate(cutter.volumes):
        whole = cutter.cut(number, (0, 0, 0), Geometry(volume.shape))
        ensemble = Ensemble("mean")
        for view in all_views("all" if views else []):
            ensemble.add(view.undo(torch.sigmoid(forward(view.of(torch.from_numpy(whole.image)[None])))))
        spacing = volume.image.info.spacing_nm
        assert spacing is not None  # a volume without one is not opened
        predicted = ensemble.result()[0, 0].numpy() >= 0.5
        scores[volume.name] = score_volume(LabelPair(predicted, whole.label[0] > 0, spacing, whole.valid[0]), METRICS)
    means = mean_over_volumes(scores)
    distance = means.pop("cremi_distance")
    said = "  ".join(f"{name} {value:.3f}" for name, value in means.items())
    return f"{said}  CREMI {distance['score']:.1f} nm" if distance else said


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("--views", action="store_true", help="8 mirrored views")
    args = parser.parse_args()
    checkpoint = read_checkpoint(args.checkpoint)
    config = convert(Config, checkpoint[SETTINGS_KEY], "", Origins(str(args.checkpoint)))
    validation = build_data(config, open_learning(config.data, config.model.in_channels)).validation_patches()
    if validation is None:
        parser.error("the run had no validation volumes")
    states = {name: network_weights(checkpoint, args.checkpoint, name == "averaged") for name in ("latest", "averaged")}
    drawn = {name: draw_patches(config, p) for name, p in DRAWN.items()}
    for whose, weights in states.items():
        for statistics in (*states, *drawn):
            model = build_model(config.model)
            held = {key: states.get(statistics, weights)[key] for key in weights if "running" in key}
            load_weights(model, {**weights, **held}, args.checkpoint)
            if statistics in drawn:
                measure_again(model, drawn[statistics])
            said = score(model, config, validation.cutter, args.views)
            print(f"weights {whose:8}  statistics {statistics:22}  {said}", flush=True)


if __name__ == "__main__":
    main()
