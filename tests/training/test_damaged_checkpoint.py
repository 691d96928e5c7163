"""A checkpoint with a few bits turned over is refused in our own words, or holds what was saved."""

import random
from pathlib import Path

import torch

from connectomics.errors import CheckpointError
from connectomics.training.checkpoints import read_checkpoint


def test_turned_bits_are_told_or_without_effect(tmp_path: Path) -> None:
    path, rng = tmp_path / "last.ckpt", random.Random(1)
    weights = {f"model.{i}": torch.arange(500.0) + i for i in range(3)}
    torch.save({"settings": {}, "state_dict": weights, "global_step": 3}, path)
    whole = path.read_bytes()
    directory = whole.find(b"PK\x01\x02")  # the list of the archive's parts, and what ends it
    refused = 0
    for number in range(600):
        damaged = bytearray(whole)
        place = rng.randrange(directory if number % 2 else 0, len(damaged))
        damaged[place] ^= 1 << rng.randrange(8)
        path.write_bytes(damaged)
        try:
            found = read_checkpoint(path)["state_dict"]
        except CheckpointError:
            refused += 1
            continue
        assert all(torch.equal(found[name], tensor) for name, tensor in weights.items())
    assert refused > 300
