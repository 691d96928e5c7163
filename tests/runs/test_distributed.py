"""Two processes on one machine (gloo) train what one process with a batch twice as large does."""

import os
import subprocess
import sys
from pathlib import Path

import torch

from connectomics.training.checkpoints import is_finite
from tests.runs.reading import only_run, scalars

ROOT = Path(__file__).parents[2]
# Without batch statistics, and with a mean over voxels for a loss, the mean of two gradients is that of both batches.
COMPARABLE = [
    "model.rsunet.norm=instance",
    "model.loss.losses=[{function: WeightedBCEWithLogitsLoss}]",
    "optimization.gradient_clip_val=0",
]


def train(small: Path, folder: Path, *overrides: str) -> Path:
    command = [
        sys.executable,
        "scripts/main.py",
        "--config",
        str(small),
        f"save_path={folder}",
        *COMPARABLE,
        *overrides,
    ]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("trained 6 steps") == 1, "only the first process speaks"
    return only_run(folder)


def test_two_processes_train_what_one_does(small: Path, tmp_path: Path) -> None:
    one = train(small, tmp_path / "one", "data.dataloader.batch_size=2")
    two = train(small, tmp_path / "two", "data.dataloader.batch_size=1", "system.num_processes=2")
    ours, theirs = (torch.load(run / "checkpoints" / "last.ckpt", weights_only=True) for run in (two, one))
    torch.testing.assert_close(ours["state_dict"], theirs["state_dict"], rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(ours["ema"]["weights"], theirs["ema"]["weights"], rtol=1e-3, atol=1e-4)
    assert list(scalars(two, "val_jaccard")) == list(scalars(one, "val_jaccard"))


SPOILT = """
import math, os, sys
from connectomics.runs.cli import main
from connectomics.training.module import SegmentationModule
usual = SegmentationModule.training_step
def spoilt(self, batch, batch_idx):
    if os.environ.get("LOCAL_RANK") == "1" and self.trainer.global_step >= int(os.environ["SPOILT_FROM"]):
        batch["image"][0, 0, 0, 0, 0] = math.nan
    return usual(self, batch, batch_idx)
SegmentationModule.training_step = spoilt
sys.exit(main())
"""


def test_what_spoils_a_step_of_one_process_is_skipped_by_all(small: Path, tmp_path: Path) -> None:
    script = tmp_path / "spoilt.py"
    script.write_text(SPOILT)
    command = [sys.executable, str(script), "--config", str(small), "system.num_processes=2",
               "optimization.max_steps=40", "optimization.max_skipped_steps=3"]  # fmt: skip
    variables = {**os.environ, "PYTHONPATH": str(ROOT), "SPOILT_FROM": "4"}
    done = subprocess.run(command, cwd=tmp_path, env=variables, capture_output=True, text=True, timeout=300)
    assert done.returncode == 2, done.stderr
    assert "steps skipped in a row: 3" in done.stderr
    assert "good checkpoint is of step 3: " in done.stderr
    last = torch.load(only_run(small.parent / "runs") / "checkpoints" / "last.ckpt", weights_only=True)
    assert is_finite(last)
