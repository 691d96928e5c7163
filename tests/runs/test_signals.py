"""Ctrl-C and SIGTERM reach every process of a run, as a terminal or a cluster sends them."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.runs.reading import only_run

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_to_all_processes_saves_and_says_how_to_go_on(small: Path, signum: signal.Signals) -> None:
    endless = ["optimization.max_steps=100000", "system.num_workers=2", "optimization.n_steps_per_epoch=100000"]
    command = [sys.executable, "scripts/main.py", "--config", str(small), *endless]
    run = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                           start_new_session=True)  # fmt: skip
    try:
        _wait_for_steps(small.parent / "runs", run)
        os.killpg(run.pid, signum)
        _, complaints = run.communicate(timeout=120)
    finally:
        if run.poll() is None:
            os.killpg(run.pid, signal.SIGKILL)
    last = only_run(small.parent / "runs") / "checkpoints" / "last.ckpt"
    assert run.returncode == 128 + signum, complaints
    assert complaints.splitlines()[-1].endswith(f"go on with --checkpoint {last}")
    assert "Traceback" not in complaints
    assert last.is_file()


def _wait_for_steps(runs: Path, run: subprocess.Popen[str]) -> None:
    """Wait until the log of the run grows, which is after its first steps."""
    for _ in range(600):
        assert run.poll() is None, run.communicate()
        if any(path.stat().st_size > 5000 for path in runs.rglob("events.out.*")):
            return
        time.sleep(0.2)
    raise AssertionError("no step was taken in two minutes")
