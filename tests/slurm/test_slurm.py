"""Trainings and predictions as jobs of a real SLURM."""

import os
import re
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from connectomics.runs.cli import main
from connectomics.volumes.read import open_volume
from tests.runs.reading import only_run
from tests.runs.same_training import differences
from tests.small_run import write_pair, write_settings

pytestmark = [pytest.mark.slurm, pytest.mark.usefixtures("cluster")]
ROOT = Path(__file__).parents[2]
SLOW = """\
#!/usr/bin/env bash
# Python, for a training of which each step takes half a second.
exec {python} - "$@" <<'CODE'
import runpy, sys, time
from connectomics.training.module import SegmentationModule
usual = SegmentationModule.training_step
def slow(self, batch, batch_idx):
    time.sleep(0.5)
    return usual(self, batch, batch_idx)
SegmentationModule.training_step = slow
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
CODE
"""
LONG = ["optimization.max_steps=120", "optimization.n_steps_per_epoch=40", "system.num_workers=1"]


def submit(log: Path, *arguments: str | Path, **variables: str | Path) -> int:
    """Hand a job to SLURM, and return its number."""
    told = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHON": sys.executable, "OMP_NUM_THREADS": "1"}
    command = ["sbatch", "--parsable", "--mem=0", "--cpus-per-task=1", f"--output={log}", *map(str, arguments)]
    told |= {name: str(value) for name, value in variables.items()}
    return int(subprocess.run(command, cwd=ROOT, env=told, check=True, text=True, capture_output=True).stdout)


def field(job: int | str, name: str) -> str:
    shown = subprocess.run(["scontrol", "show", "job", str(job)], text=True, capture_output=True, check=True).stdout
    return re.findall(rf"\b{name}=(\S+)", shown)[0]


def wait(job: int | str, seconds: float = 120) -> int:
    """Wait for the end of a job, and return its exit status."""
    until = time.monotonic() + seconds
    while field(job, "JobState") not in ("COMPLETED", "FAILED", "CANCELLED", "TIMEOUT", "NODE_FAIL"):
        assert time.monotonic() < until, subprocess.run(["squeue"], text=True, capture_output=True).stdout
        time.sleep(0.5)
    return int(field(job, "ExitCode").split(":")[0])


def wait_for(path: Path, text: str, seconds: float = 60) -> None:
    until = time.monotonic() + seconds
    while not path.exists() or text not in path.read_text():
        assert time.monotonic() < until, path.read_text() if path.exists() else "no log"
        time.sleep(0.2)


@pytest.fixture
def slow_python(tmp_path: Path) -> Path:
    path = tmp_path / "slow_python"
    path.write_text(SLOW.format(python=sys.executable))
    path.chmod(0o755)
    return path


def test_a_training_that_the_scheduler_signals_and_queues_again_ends_as_the_unbroken_one(
    small: Path, tmp_path: Path, slow_python: Path
) -> None:
    """A job of two minutes that is told a minute before; SLURM may do so half a minute earlier."""
    log = tmp_path / "log"
    script = ["--time=2", "--signal=USR1@60", "scripts/slurm/train.sbatch", small]
    job = submit(log, *script, *LONG, PYTHON=slow_python)
    assert wait(job, 900) == 0, log.read_text()
    said = log.read_text()
    assert int(field(job, "Restarts")) >= 1
    assert "stopped by SIGUSR1; the last step is saved" in said
    assert re.search(r"going on from step \d+ of", said)
    assert "trained 120 steps" in said
    assert main(["--config", str(small), *LONG, f"save_path={tmp_path / 'unbroken'}"]) == 0
    assert differences(only_run(small.parent / "runs"), only_run(tmp_path / "unbroken")) == []
    assert not list(tmp_path.rglob("hpc_ckpt*"))


def test_a_job_that_is_cancelled_saves_and_is_not_queued_again(small: Path, tmp_path: Path, slow_python: Path) -> None:
    log = tmp_path / "log"
    job = submit(log, "--time=10", "scripts/slurm/train.sbatch", small, *LONG, PYTHON=slow_python)
    wait_for(log, "parameters on")
    time.sleep(10)
    asked = time.monotonic()
    subprocess.run(["scancel", str(job)], check=True)
    wait(job)
    assert time.monotonic() - asked < 20
    assert field(job, "JobState") == "CANCELLED"
    assert "stopped by SIGTERM; the last step is saved" in log.read_text()
    assert "queued again" not in log.read_text()
    assert (only_run(small.parent / "runs") / "checkpoints" / "last.ckpt").is_file()


@pytest.mark.parametrize(
    ("tasks", "starter", "processes", "said"),
    [
        (1, "", 2, "on 2 x cpu"),
        (1, "srun", 2, "on 2 x cpu"),
        (2, "", 1, "SLURM_NTASKS is 2, but srun did not start this program"),
        (2, "", 2, "SLURM_NTASKS is 2, but srun did not start this program"),
        (2, "srun", 2, "on 2 x cpu"),
        (2, "srun", 1, "started 2 times, but 1 process(es) share the training"),
        (1, "srun --ntasks=2 --overcommit", 2, "on 2 x cpu"),
    ],
)
def test_tasks_do_what_they_say_or_are_refused(
    small: Path, tmp_path: Path, tasks: int, starter: str, processes: int, said: str
) -> None:
    log = tmp_path / "log"
    arguments = f"--config {small} system.num_processes={processes}"
    line = f"{starter} {sys.executable} scripts/main.py {arguments}"
    status = wait(submit(log, f"--ntasks={tasks}", f"--wrap={line}"))
    assert said in log.read_text()
    assert "Traceback" not in log.read_text()
    if said.startswith("on "):
        assert (status, log.read_text().count("trained 6 steps")) == (0, 1), log.read_text()
        assert (only_run(small.parent / "runs") / "checkpoints" / "last.ckpt").is_file()
    else:
        assert status == 2
        assert not (small.parent / "runs").exists()


def test_an_array_predicts_each_volume_as_if_it_were_alone(small: Path, tmp_path: Path) -> None:
    assert main(["--config", str(small)]) == 0
    last = only_run(small.parent / "runs") / "checkpoints" / "last.ckpt"
    volumes = [write_pair(tmp_path, f"volume_{n}", shape=(6, 30 + n, 34), seed=n)[0] for n in range(3)]
    log, found = tmp_path / "log_%a", tmp_path / "found"
    script = ["--array=0-2", "scripts/slurm/predict_array.sbatch"]
    job = submit(log, *script, last, found, *volumes, OVERRIDES="inference.window.overlap=0.25")
    assert [wait(f"{job}_{n}") for n in range(3)] == [0, 0, 0], (tmp_path / "log_0").read_text()
    assert sorted(path.name for path in found.iterdir()) == [f"im_volume_{n}" for n in range(3)]
    for number, volume in enumerate(volumes):
        name, alone = f"im_volume_{number}", tmp_path / f"alone_{number}"
        more = ["--out", str(alone), "inference.window.overlap=0.25"]
        assert main(["--mode", "predict", "--checkpoint", str(last), volume, *more]) == 0
        files = {path.name for path in alone.iterdir()}
        assert {path.name for path in (found / name).iterdir()} == files
        for file in (path for path in files if path.endswith(".h5")):
            ours, theirs = (open_volume(str(folder / file)) for folder in (found / name, alone))
            np.testing.assert_array_equal(ours.read_all(), theirs.read_all())
        said = (tmp_path / f"log_{number}").read_text()
        assert not any(f"im_volume_{other}" in said for other in range(3) if other != number)


def test_two_jobs_at_once_have_nothing_of_one_another(tmp_path: Path) -> None:
    settings = []
    for name in ("one", "other"):
        (tmp_path / name).mkdir()
        settings.append(write_settings(tmp_path / name))
    logs = [tmp_path / f"log_{path.parent.name}" for path in settings]
    jobs = [submit(log, "scripts/slurm/train.sbatch", path) for log, path in zip(logs, settings, strict=True)]
    assert [wait(job) for job in jobs] == [0, 0]
    for path, log in zip(settings, logs, strict=True):
        assert str(only_run(path.parent / "runs")) in log.read_text()
        assert [str(other.parent) in log.read_text() for other in settings].count(True) == 1
    again = [submit(log, "scripts/slurm/train.sbatch", settings[0], *LONG) for log in logs]
    statuses = sorted(wait(job, 200) for job in again)
    said = "".join(log.read_text() for log in logs)
    assert statuses in ([0, 0], [0, 2]), said
    assert statuses == [0, 0] or "is being worked on by process" in said
    assert only_run(tmp_path / "one" / "runs")
