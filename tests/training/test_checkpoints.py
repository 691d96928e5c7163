from pathlib import Path
from typing import BinaryIO

import numpy as np
import pytest
import torch

from connectomics.config import Config, as_plain
from connectomics.errors import CheckpointError
from connectomics.training.checkpoints import (
    SETTINGS_KEY,
    AtomicCheckpointIO,
    network_weights,
    read_checkpoint,
    require_same_model,
)


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


@pytest.mark.parametrize("seed", range(8))
def test_a_flipped_bit_is_found(tmp_path: Path, seed: int) -> None:
    path = tmp_path / "last.ckpt"
    weights = torch.arange(5000, dtype=torch.float32)
    AtomicCheckpointIO().save_checkpoint({"state_dict": {"model.w": weights}, SETTINGS_KEY: {}}, path)
    assert torch.equal(read_checkpoint(path)["state_dict"]["model.w"], weights)
    content = bytearray(path.read_bytes())
    begin = content.index(weights.numpy().tobytes())
    place, bit = np.random.default_rng(seed).integers([20_000, 8])
    content[begin + place] ^= 1 << int(bit)
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match=r"is damaged or not a checkpoint: the checksum of .*data/0 is wrong"):
        read_checkpoint(path)


def test_a_checkpoint_that_the_disk_spoils_does_not_replace_the_old_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, usual = tmp_path / "last.ckpt", torch.save
    AtomicCheckpointIO().save_checkpoint({"global_step": 1}, path)

    def spoilt(value: object, file: BinaryIO) -> None:
        usual(value, file)
        file.seek(file.tell() // 2)
        file.write(b"spoilt by the disk")
        file.seek(0, 2)

    monkeypatch.setattr(torch, "save", spoilt)
    with pytest.raises(CheckpointError, match="the former file of that name is kept"):
        AtomicCheckpointIO().save_checkpoint({"weights": torch.rand(1000)}, path)
    assert torch.load(path, weights_only=True) == {"global_step": 1}
    assert [entry.name for entry in tmp_path.iterdir()] == ["last.ckpt"]


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
