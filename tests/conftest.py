"""Small arrays gain nothing from several threads, and tests that run side by side would fight for the cores."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

from pathlib import Path

import pytest
import yaml

from tests.small_run import SMALL, write_pair


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """Return a file of settings with its volumes beside it; runs go to `tmp_path/runs`."""
    for seed, name in enumerate(("train", "val", "test")):
        write_pair(tmp_path, name, seed=seed)
    stages = {
        name: {"image": [str(tmp_path / f"im_{name}.h5")], "label": [str(tmp_path / f"syn_{name}.h5")]}
        for name in ("train", "val", "test")
    }
    settings = {**SMALL, "save_path": str(tmp_path / "runs"), "data": stages}
    path = tmp_path / "small.yaml"
    path.write_text(yaml.safe_dump(settings), encoding="utf-8")
    return path
