"""Predict the same volume again and again, killing most tries; run by `test_saved.py` in a process of its own.

Usage: killed.py FOLDER SUFFIX KILLS
"""

from __future__ import annotations

import hashlib
import os
import random
import shutil
import signal
import sys
import time
from pathlib import Path

import numpy as np
import torch

from connectomics.inference import SAVED_TYPES, Lane, fingerprint, predict_into
from connectomics.volumes.intensity import IntensityRange
from connectomics.volumes.read import open_volume
from connectomics.volumes.stage import StagedVolume
from tests.inference.conftest import CPU, lopsided_network, make_plan

SHAPE = (40, 40, 40)


def predict(image_path: Path, target: Path) -> None:
    """What a run does with one volume."""
    network = lopsided_network(1, 1)

    def slow(windows: torch.Tensor) -> torch.Tensor:
        time.sleep(0.0003)
        return network(windows)

    image = open_volume(str(image_path))
    intensity, saved = IntensityRange(0, 255), SAVED_TYPES["float32"]
    mark = fingerprint({}, {"w": torch.arange(3.0)}, image, intensity)
    with StagedVolume(target, 1, SHAPE, saved.dtype, {"offset": np.zeros(3)}, mark) as stage:
        for _ in predict_into(stage, saved, image, intensity, make_plan(activation="sigmoid"), [Lane(slow, CPU)]):
            pass


def run(image: Path, target: Path, kill_after: float | None) -> bool:
    """Predict in a child process; return whether it came to its end."""
    child = os.fork()
    if child == 0:
        torch.set_num_threads(1)
        predict(image, target)
        os._exit(0)
    if kill_after is not None:
        time.sleep(kill_after)
        os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    return status == 0


def digest(path: Path) -> str:
    files = sorted(p for p in path.rglob("*") if p.is_file()) if path.is_dir() else [path]
    whole = hashlib.sha256()
    for file in files:
        whole.update(str(file.relative_to(path.parent)).encode() + file.read_bytes())
    return whole.hexdigest()


def main(folder: Path, suffix: str, kills: int) -> None:
    image, target = folder / "image.h5", folder / f"prediction{suffix}"
    begun = time.monotonic()
    assert run(image, target, None)
    whole_time, undisturbed = time.monotonic() - begun, digest(target)
    rng, killed, finished, partly = random.Random(1), 0, 0, 0
    shutil.rmtree(target) if target.is_dir() else target.unlink()
    while killed < kills or finished == 0:
        if run(image, target, rng.uniform(0.05, 0.9) * whole_time if killed < kills else None):
            assert digest(target) == undisturbed
            assert sorted(p.name for p in folder.iterdir()) == sorted([image.name, target.name])
            shutil.rmtree(target) if target.is_dir() else target.unlink()
            finished += 1
        else:
            killed += 1
            partly += any((folder / f".{target.name}.stage").glob("*.npy"))
            assert not target.exists() or digest(target) == undisturbed
    print(f"killed {killed}, of those {partly} with finished sections; finished {finished}")


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]))
