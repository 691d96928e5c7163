"""What is added from outside, one entry in a table, goes the whole way: to checkpoint, table and page."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from scipy.ndimage import distance_transform_edt
from torch import Tensor, nn

from connectomics.data.targets import NOT_ANNOTATED, TARGETS, Target
from connectomics.decoding import DECODERS, Decoder
from connectomics.losses.criterion import LOSSES
from connectomics.losses.loss import Loss, mean_over
from connectomics.metrics import METRICS, LabelPair, Metric
from connectomics.metrics.matching import MatchRule
from connectomics.models import MODELS, Architecture
from connectomics.runs.cli import main
from connectomics.training.optimizers import OPTIMIZERS
from tests.runs.reading import only_run


class SquaredError(Loss):
    """The mean squared error of probabilities."""

    def forward(self, prediction: Tensor, target: Tensor, valid: Tensor) -> Tensor:
        return mean_over((torch.sigmoid(prediction) - target) ** 2, valid)


def farthest(pair: LabelPair, rule: MatchRule) -> dict[str, float]:
    """How far, in nm, the farthest predicted voxel is from the annotation; low is good."""
    pair.masks.require_either()
    if not pair.masks.truth.any() or not pair.masks.predicted.any():
        return {"farthest": 1e6, "voxels": float(pair.masks.predicted.sum())}
    away = distance_transform_edt(~pair.masks.truth, sampling=pair.spacing_nm)
    return {"farthest": float(away[pair.masks.predicted].max()), "voxels": float(pair.masks.predicted.sum())}


def encode_twice(ids: np.ndarray, layout: str) -> np.ndarray:
    codes = (ids[0] > 0).astype(np.uint8)
    assert NOT_ANNOTATED not in codes
    return codes


ADDED = {
    "metric": (METRICS, "farthest", Metric(farthest, lower_is_better=True, unit="nm",
                                           parts={"farthest": "farthest (nm)", "voxels": "voxels"})),
    "architecture": (MODELS, "one_convolution", Architecture(
        build=lambda config: nn.Conv3d(config.in_channels, config.out_channels, 3, padding=1))),
    "loss": (LOSSES, "SquaredError", SquaredError),
    "target": (TARGETS, "twice", lambda: Target(encode_twice, {"one": (1,), "other": (1,)})),
    "decoder": (DECODERS, "both", Decoder(
        decode=lambda probability, config: (probability.min(axis=0) >= config.threshold).view(np.uint8),
        channels=("one", "other"), dtype=np.uint8, content="1 where both agree", noun="agreements",
        foreground=lambda probability: probability.min(axis=0), by_section=lambda config: True)),
    "optimizer": (OPTIMIZERS, "SGD", torch.optim.SGD),
}  # fmt: skip

SETTINGS = {
    "model": {
        "arch": {"type": "one_convolution"},
        "out_channels": 2,
        "loss": {"losses": [{"function": "SquaredError"}]},
    },
    "data": {"target": {"type": "twice"}, "dataloader": {"patch_size": [3, 15, 17]}},
    "optimization": {"optimizer": {"name": "SGD"}},
    "inference": {
        "model": {"channel_activations": [{"channels": "0:2", "activation": "sigmoid"}]},
        "window": {"window_size": [3, 15, 17]},
    },
    "decoding": {"name": "both", "tuning": {"metric": "farthest", "thresholds": [0.3, 0.6, 0.1], "min_sizes": [0]}},
    "evaluation": {"metrics": ["farthest", "jaccard"]},
}
"""No setting of the rsunet is named, nor does a size fit one."""


def merged(one: dict, other: dict) -> dict:
    both = {key: merged(one[key], value) if isinstance(value, dict) and key in one else value
            for key, value in other.items()}  # fmt: skip
    return one | both


@pytest.fixture
def foreign(small: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for table, name, entry in ADDED.values():
        monkeypatch.setitem(table, name, entry)
    settings = yaml.safe_load(small.read_text())
    settings["default"]["model"].pop("rsunet")
    settings["default"] = merged(settings["default"], SETTINGS)
    small.write_text(yaml.safe_dump(settings))
    return small


def run_cli(*arguments: object) -> None:
    assert main([str(argument) for argument in arguments]) == 0


@pytest.mark.parametrize("decoder", ["both", "threshold"])
def test_what_is_added_from_outside_is_trained_tuned_tested_and_shown(
    foreign: Path, decoder: str, capsys: pytest.CaptureFixture[str]
) -> None:
    more = []
    if decoder == "threshold":  # all thresholds at once, and the foreign metric by itself at each of them
        more = ["data.target.type=cleft", "model.out_channels=1", "decoding.name=threshold",
                "inference.model.channel_activations=[{channels: '0:1', activation: sigmoid}]"]  # fmt: skip
    run_cli("--config", foreign, *more)
    run = only_run(foreign.parent / "runs")
    last = run / "checkpoints" / "last.ckpt"
    state = torch.load(last, weights_only=True)["state_dict"]
    assert {name.rpartition(".")[2] for name in state} >= {"weight", "bias"}

    run_cli("--config", foreign, "--mode", "tune", "--checkpoint", last, *more)
    tuned = json.loads((run / "results" / "tune.json").read_text())
    assert [row["threshold"] for row in tuned["mean"]] == [0.3, 0.4, 0.5, 0.6]
    defined = [row["farthest"] for row in tuned["mean"] if row["farthest"] is not None]
    assert tuned["best"]["farthest"] == min(defined)  # a distance: the low one is the good one
    page = (run / "results" / "tune.html").read_text()
    assert "farthest (nm)" in page

    capsys.readouterr()
    run_cli(
        "--config", foreign, "--mode", "test", "--checkpoint", last, "--tuned", run / "results" / "tuned.yaml", *more
    )
    metrics = json.loads((run / "results" / "metrics.json").read_text())
    assert set(metrics["mean"]["farthest"]) == {"farthest", "voxels"}
    assert "farthest (nm)" in capsys.readouterr().out
    assert "farthest (nm)" in (run / "results" / "report.html").read_text()
    assert (run / "results" / "test_im_test_synapses.csv").is_file()


def test_a_checkpoint_of_a_foreign_network_is_not_taken_for_another(
    foreign: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run_cli("--config", foreign)
    last = only_run(foreign.parent / "runs") / "checkpoints" / "last.ckpt"
    capsys.readouterr()
    other = [
        "model.arch.type=rsunet",
        "data.dataloader.patch_size=[16,16,16]",
        "inference.window.window_size=[16,16,16]",
    ]
    assert main(["--config", str(foreign), "--mode", "test", "--checkpoint", str(last), *other]) == 2
    assert "was trained with model.arch.type=one_convolution, the settings say rsunet" in capsys.readouterr().err
