"""A run that takes seconds: its settings and its volumes."""

from pathlib import Path

import numpy as np
import yaml

from connectomics.volumes.write import write_volume

SMALL = {
    "experiment_name": "small",
    "default": {
        "system": {"num_gpus": 0, "num_workers": 0, "seed": 1},
        "model": {"rsunet": {"filters": [4, 8], "down_factors": [[1, 2, 2]]}},
        "data": {
            "dataloader": {"patch_size": [4, 16, 16], "batch_size": 2},
            "data_transform": {"pad_size": [0, 2, 2]},
        },
        "inference": {"precision": "32-true", "window": {"window_size": [4, 16, 16], "sw_batch_size": 3}},
    },
    "train": {
        "optimization": {
            "max_steps": 6,
            "n_steps_per_epoch": 3,
            "precision": "32-true",
            "ema": {"warmup_steps": 1, "decay": 0.5},
        },
        "monitor": {
            "checkpoint": {"save_every_n_epochs": 1},
            "logging": {"scalar": {"loss_every_n_steps": 1}, "images": {"max_images": 2, "num_slices": 2}},
        },
    },
    "test": {},
}
"""Settings of a run that takes seconds."""


def write_pair(folder: Path, name: str, shape: tuple[int, int, int] = (6, 30, 34), seed: int = 0) -> tuple[str, str]:
    """Write an image and a label whose clefts are its dark blocks, and return both file names."""
    rng = np.random.default_rng(seed)
    label = np.kron(rng.random((shape[0], -(-shape[1] // 5), -(-shape[2] // 5))) < 0.1, np.ones((1, 5, 5)))
    label = label[:, : shape[1], : shape[2]].astype(np.uint16)
    image = (rng.normal(160, 20, shape) - 90 * label).clip(0, 255).astype(np.uint8)
    attributes = {"resolution": np.array([40.0, 4.0, 4.0])}
    write_volume(folder / f"im_{name}.h5", image, attributes)
    write_volume(folder / f"syn_{name}.h5", label, attributes)
    return str(folder / f"im_{name}.h5"), str(folder / f"syn_{name}.h5")


def write_settings(folder: Path) -> Path:
    """Write volumes for training, validation and test, and a file of settings that names them; runs go to `runs`."""
    for seed, name in enumerate(("train", "val", "test")):
        write_pair(folder, name, seed=seed)
    stages = {
        name: {"image": [str(folder / f"im_{name}.h5")], "label": [str(folder / f"syn_{name}.h5")]}
        for name in ("train", "val", "test")
    }
    settings = {**SMALL, "save_path": str(folder / "runs"), "data": stages}
    path = folder / "small.yaml"
    path.write_text(yaml.safe_dump(settings), encoding="utf-8")
    return path
