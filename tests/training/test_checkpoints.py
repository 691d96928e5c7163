from pathlib import Path

import pytest
import torch

from connectomics.config import Config, as_plain
from connectomics.errors import CheckpointError
from connectomics.training.checkpoints import SETTINGS_KEY, AtomicCheckpointIO, network_weights, require_same_model


def test_a_checkpoint_replaces_the_old_one_only_when_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "checkpoints" / "last.ckpt"
    AtomicCheckpointIO().save_checkpoint({"global_step": 1}, path)

    def killed(value: object, file: object) -> None:
        file.write(b"half")  # type: ignore[attr-defined]
        raise KeyboardInterrupt

    monkeypatch.setattr(torch, "save", killed)
    with pytest.raises(KeyboardInterrupt):
        AtomicCheckpointIO().save_checkpoint({"global_step": 2}, path)
    assert torch.load(path, weights_only=True) == {"global_step": 1}


def test_averaged_weights_are_not_made_up(tmp_path: Path) -> None:
    checkpoint = {"state_dict": {"model.w": torch.ones(1), "criterion.x": torch.ones(1)}}
    assert set(network_weights(checkpoint, tmp_path, use_ema=False)) == {"w"}
    with pytest.raises(CheckpointError, match=r"set inference\.use_ema=false"):
        network_weights(checkpoint, tmp_path, use_ema=True)


def test_a_setting_that_an_older_checkpoint_lacks_had_its_default(tmp_path: Path) -> None:
    older, settings = as_plain(Config()), as_plain(Config())
    del older["model"]["rsunet"]["input_pooling"]
    require_same_model({SETTINGS_KEY: older}, settings, tmp_path)
    settings["model"]["rsunet"]["input_pooling"] = [1, 2, 2]
    with pytest.raises(CheckpointError, match=r"input_pooling=\[1, 1, 1\], the settings say \[1, 2, 2\]"):
        require_same_model({SETTINGS_KEY: older}, settings, tmp_path)
