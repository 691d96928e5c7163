"""`connectomics weights`: what it writes predicts what the checkpoint predicts, without this package."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

import connectomics
from connectomics.models.export import load_exported
from connectomics.runs.commands import main
from tests.small_run import write_settings


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return connectomics.train(write_settings(tmp_path_factory.mktemp("weights")), "optimization.max_steps=3")


def test_the_files_hold_the_network(run: Path, tmp_path: Path) -> None:
    out = tmp_path / "mine"
    assert main(["weights", str(run), "--out", str(out), "--pt2"]) == 0
    known = json.loads((out / "model.json").read_text())
    assert (known["patch_size"], known["voxel_sizes_nm"], known["step"]) == ([4, 16, 16], [[40.0, 4.0, 4.0]], 3)
    assert known["averaged"]
    saved = torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)
    averages = saved["ema"]["weights"]
    for name, tensor in load_file(out / "model.safetensors").items():
        torch.testing.assert_close(tensor, averages[name] if name in averages else saved["state_dict"][f"model.{name}"])
    windows = torch.from_numpy(np.random.default_rng(0).random((3, 1, 4, 16, 16), np.float32))
    with torch.no_grad():
        ours, theirs = load_exported(out)(windows), torch.export.load(out / "model.pt2").module()(windows)
    torch.testing.assert_close(theirs, ours)


def test_the_weights_of_the_last_step_can_be_had(run: Path, tmp_path: Path) -> None:
    out = tmp_path / "latest"
    assert main(["weights", str(run), "--out", str(out), "--latest"]) == 0
    saved = torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]
    for name, tensor in load_file(out / "model.safetensors").items():
        torch.testing.assert_close(tensor, saved[f"model.{name}"])


def test_nothing_is_replaced(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "model.json").write_text("mine")
    assert main(["weights", str(run), "--out", str(tmp_path)]) == 2
    assert "is not replaced" in capsys.readouterr().err
    assert main(["weights", str(tmp_path / "nowhere.ckpt"), "--out", str(tmp_path / "x")]) == 2
