"""The job scripts by themselves; what they do as jobs is in `test_slurm.py`."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

SCRIPTS = sorted((Path(__file__).parents[2] / "scripts" / "slurm").glob("*.sbatch"))
FAKE = {
    "srun": 'echo "$@" >> "$CALLS"; exit "$STATUS"',
    "squeue": 'echo "$STATE"',
    "scontrol": 'echo "scontrol $*" >> "$CALLS"',
}
"""Programs that note how they are called, in place of SLURM's."""


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_a_job_script_is_sound(script: Path) -> None:
    subprocess.run(["bash", "-n", str(script)], check=True)
    if shutil.which("shellcheck") is None:
        pytest.skip("shellcheck is not installed")
    subprocess.run(["shellcheck", str(script)], check=True)


def run(name: str, folder: Path, *arguments: str, status: int = 0, state: str = "RUNNING") -> tuple[int, list[str]]:
    """Run a script with programs in place of SLURM's; return its status, and how those were called."""
    for program, body in FAKE.items():
        (folder / program).write_text(f"#!/bin/sh\n{body}\n")
        (folder / program).chmod(0o755)
    calls = folder / "calls"
    calls.unlink(missing_ok=True)
    told = {"PATH": f"{folder}:{os.environ['PATH']}", "CALLS": str(calls), "STATUS": str(status), "STATE": state,
            "SLURM_JOB_ID": "7", "SLURM_ARRAY_TASK_ID": "1", "PYTHON": "python"}  # fmt: skip
    (script,) = (path for path in SCRIPTS if path.name == name)
    done = subprocess.run(["bash", str(script), *arguments], env=told, capture_output=True, text=True)
    return done.returncode, calls.read_text().splitlines() if calls.exists() else [done.stderr]


@pytest.mark.parametrize(
    ("status", "state", "again"),
    [(143, "RUNNING", True), (143, "COMPLETING", False), (143, "", False), (0, "RUNNING", False), (2, "RUNNING", False),
     (130, "RUNNING", False)],
)  # fmt: skip
def test_a_training_is_queued_again_when_it_has_saved_and_nobody_cancelled_it(
    tmp_path: Path, status: int, state: str, again: bool
) -> None:
    found, calls = run("train.sbatch", tmp_path, "mine.yaml", "system.seed=3", status=status, state=state)
    assert found == status
    command = "python scripts/main.py --config mine.yaml --resume auto system.seed=3"
    assert calls == [command, *(["scontrol requeue 7"] if again else [])]


def test_each_task_of_an_array_predicts_its_own_volume_into_its_own_folder(tmp_path: Path) -> None:
    volumes = ["a/one.h5", "b c/two.ome.zarr:/raw", "three.tif"]
    status, calls = run("predict_array.sbatch", tmp_path, "last.ckpt", "found", *volumes)
    command = f"python scripts/main.py --mode predict --checkpoint last.ckpt {volumes[1]} --out found/two"
    assert (status, calls) == (0, [command])
    status, (said,) = run("predict_array.sbatch", tmp_path, "last.ckpt", "found", "a/one.h5")
    assert (status, said) == (2, "task 1 of the array, but there are 1 volumes, counted from 0\n")
    status, (said,) = run("predict_array.sbatch", tmp_path, "last.ckpt", "found", "a/one.h5", "b/one.h5")
    assert status == 2
    assert said.startswith("two volumes are called one, and found/one is the folder of one")
