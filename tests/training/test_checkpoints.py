from pathlib import Path

import pytest
import torch

from connectomics.errors import CheckpointError
from connectomics.training.checkpoints import AtomicCheckpointIO, network_weights


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
