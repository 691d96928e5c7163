"""Ctrl-C and SIGTERM reach every process of a run, as a terminal or a cluster sends them."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from connectomics.runs.cli import main
from connectomics.training.checkpoints import is_finite, read_checkpoint
from tests.runs.reading import only_run

ROOT = Path(__file__).parents[2]


SLURM = {"SLURM_JOB_ID": "7", "SLURM_JOB_NAME": "train", "SLURM_NTASKS": "1", "SLURM_PROCID": "0", "SLURM_LOCALID": "0",
         "SLURM_NODEID": "0", "SLURM_NTASKS_PER_NODE": "1", "SLURM_JOB_NODELIST": "localhost"}  # fmt: skip


@pytest.mark.parametrize(
    ("signum", "slurm"),
    [(signal.SIGINT, False), (signal.SIGTERM, False), (signal.SIGHUP, False), (signal.SIGUSR2, False),
     (signal.SIGUSR1, True), (signal.SIGTERM, True)],
)  # fmt: skip
def test_a_signal_to_all_processes_saves_and_says_how_to_go_on(
    small: Path, tmp_path: Path, signum: signal.Signals, slurm: bool
) -> None:
    run = _start(small, tmp_path, SLURM if slurm else {})
    try:
        _wait_for_steps(small.parent / "runs", run)
        os.killpg(run.pid, signum)
        _, complaints = run.communicate(timeout=120)
    finally:
        if run.poll() is None:
            os.killpg(run.pid, signal.SIGKILL)
    last = only_run(small.parent / "runs") / "checkpoints" / "last.ckpt"
    assert run.returncode == (130 if signum == signal.SIGINT else 143), complaints
    assert complaints.splitlines()[-1].startswith(f"stopped by {signum.name}; ")
    assert complaints.splitlines()[-1].endswith(f"go on with --checkpoint {last}")
    assert "Traceback" not in complaints
    assert last.is_file()
    assert not list(tmp_path.rglob("hpc_ckpt*"))


STOPPED_AT = """
import os, runpy, signal, sys
def ask(*_, **__):
    os.kill(os.getpid(), signal.SIGUSR1)
    os.kill(os.getpid(), signal.SIGTERM)
sys.argv = sys.argv[:1] + sys.argv[2:]
import connectomics.config as config
if {moment!r} == "settings":
    config.load_configs = ask
elif {moment!r} == "check":
    from connectomics.data.datamodule import VolumesDataModule
    VolumesDataModule.setup = ask
elif {moment!r} == "set up":
    from connectomics.training.module import SegmentationModule
    SegmentationModule.setup = ask
runpy.run_path({main!r}, run_name="__main__")
"""


@pytest.mark.parametrize(
    ("moment", "said"),
    [("settings", "stopped by SIGUSR1 before there was anything to save; the same command begins again"),
     ("check", "stopped by SIGUSR1 before there was anything to save; the same command begins again"),
     ("set up", "stopped by SIGTERM before a step was complete; the same command begins again")],
)  # fmt: skip
def test_a_signal_while_the_run_starts_is_one_line_and_leaves_nothing_half_written(
    small: Path, tmp_path: Path, moment: str, said: str
) -> None:
    script = STOPPED_AT.format(moment=moment, main=str(ROOT / "scripts" / "main.py"))
    stopped = subprocess.run([sys.executable, "-c", script, "", "--config", str(small)], text=True,
                             env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, timeout=120)  # fmt: skip
    assert (stopped.returncode, stopped.stderr) == (143, f"{said}\n")
    left = [path.name for path in (small.parent / "runs").rglob("*") if path.is_file()]
    whole = ("events.out.", "config.yaml", "hparams.yaml")
    assert [name for name in left if not name.startswith(whole)] == []


def test_of_two_processes_both_stop_when_one_is_asked(small: Path, tmp_path: Path) -> None:
    """Each step is of three batches, and validated in more than that."""
    steps = ["optimization.n_steps_per_epoch=1", "optimization.accumulate_grad_batches=3"]
    both = ["system.num_processes=2", "data.dataloader.batch_size=1", "monitor.logging.scalar.max_cremi_patches=0"]
    run = _start(small, tmp_path, {}, *both, *steps)
    try:
        _wait_for_steps(small.parent / "runs", run)
        os.kill(run.pid, signal.SIGTERM)
        asked = time.monotonic()
        _, complaints = run.communicate(timeout=60)
    finally:
        if run.poll() is None:
            os.killpg(run.pid, signal.SIGKILL)
    assert run.returncode == 143, complaints
    assert time.monotonic() - asked < 20
    assert complaints.count("stopped by SIGTERM; the last step is saved") == 1
    assert "Traceback" not in complaints
    assert is_finite(read_checkpoint(only_run(small.parent / "runs") / "checkpoints" / "last.ckpt"))


def test_no_checkpoint_is_loaded_that_was_not_named(
    small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in SLURM.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "hpc_ckpt_1.ckpt").write_bytes(b"somebody else's")
    assert main(["--config", str(small), "optimization.max_steps=2"]) == 0


def test_nohup_holds_off_a_hangup(small: Path, tmp_path: Path) -> None:
    run = _start(small, tmp_path, {}, hangup=signal.SIG_IGN)
    try:
        _wait_for_steps(small.parent / "runs", run)
        os.killpg(run.pid, signal.SIGHUP)
        log = next((small.parent / "runs").rglob("events.out.*"))
        _wait_for_steps(small.parent / "runs", run, log.stat().st_size + 5000)
        os.killpg(run.pid, signal.SIGTERM)
        run.communicate(timeout=120)
    finally:
        if run.poll() is None:
            os.killpg(run.pid, signal.SIGKILL)
    assert run.returncode == 128 + signal.SIGTERM


def _start(
    small: Path, cwd: Path, environment: dict[str, str], *overrides: str, hangup: signal.Handlers = signal.SIG_DFL
) -> subprocess.Popen[str]:
    """Start a training in a session of its own; what SIGHUP does does not depend on how the tests were started."""
    endless = ["optimization.max_steps=100000", "system.num_workers=2", "optimization.n_steps_per_epoch=100000"]
    command = [sys.executable, str(ROOT / "scripts" / "main.py"), "--config", str(small), *endless, *overrides]
    variables = {**os.environ, "PYTHONPATH": str(ROOT), **environment}
    return subprocess.Popen(command, cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                            start_new_session=True, env=variables,
                            preexec_fn=lambda: signal.signal(signal.SIGHUP, hangup))  # fmt: skip


def _wait_for_steps(runs: Path, run: subprocess.Popen[str], grown: int = 5000) -> None:
    """Wait until the log of the run has grown to so many bytes, by default that of the first steps."""
    for _ in range(600):
        assert run.poll() is None, run.communicate()
        if any(path.stat().st_size > grown for path in runs.rglob("events.out.*")):
            return
        time.sleep(0.2)
    raise AssertionError("no step was taken in two minutes")
