"""Faults of the machine end in one line and status 2: a full disk, a lost worker."""

import os
import resource
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from connectomics.data.datasets import TrainingPatches
from connectomics.errors import CheckpointError
from connectomics.runs.cli import main
from connectomics.training.checkpoints import AtomicCheckpointIO, find_damage
from tests.small_run import write_settings


def limited(arguments: list[str], largest: int) -> subprocess.CompletedProcess[str]:
    """Run a command that may write no file larger than this, as on a disk that is full."""
    program = "import sys; from connectomics.runs.cli import main; sys.exit(main(sys.argv[1:]))"
    return subprocess.run(
        [sys.executable, "-c", program, *arguments], capture_output=True, text=True, check=False, timeout=120,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (largest, largest)),
    )  # fmt: skip


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    settings = write_settings(tmp_path_factory.mktemp("full"))
    assert main(["--config", str(settings), "optimization.max_steps=3"]) == 0
    return settings, next((settings.parent / "runs").iterdir())


@pytest.mark.parametrize("largest", [500, 20_000, 120_000])
def test_a_training_on_a_full_disk_says_so(tmp_path: Path, largest: int) -> None:
    done = limited(["--config", str(write_settings(tmp_path))], largest)
    assert done.returncode == 2, done.stderr
    assert "cannot be written" in done.stderr
    assert done.stderr.count("\n") == 1, done.stderr
    assert list(tmp_path.rglob("*.partial")) == []
    assert list(tmp_path.rglob("*.ckpt")) == []


@pytest.mark.parametrize("mode", ["test", "tune"])
@pytest.mark.parametrize("largest", [3_000, 20_000])
def test_a_prediction_on_a_full_disk_says_so_and_goes_on(trained: tuple[Path, Path], mode: str, largest: int) -> None:
    settings, run = trained
    arguments = ["--config", str(settings), "--mode", mode, "--checkpoint", str(run), "--out"]
    out = run / f"{mode}_{largest}"
    done = limited([*arguments, str(out)], largest)
    assert done.returncode == 2, done.stderr
    assert "cannot be written" in done.stderr
    assert done.stderr.count("\n") == 1, done.stderr
    assert list(out.rglob("*.partial")) == []
    assert main([*arguments, str(out)]) == 0


def test_a_checkpoint_that_finds_no_room_leaves_the_one_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, io = tmp_path / "last.ckpt", AtomicCheckpointIO()
    io.save_checkpoint({"state_dict": {"a": torch.ones(3)}}, path)

    def save(checkpoint: object, file: object) -> None:
        raise RuntimeError("[enforce fail at inline_container.cc:672] . unexpected pos 64 vs 0")

    monkeypatch.setattr(torch, "save", save)
    with pytest.raises(CheckpointError, match="the disk takes no more"):
        io.save_checkpoint({"state_dict": {"a": torch.zeros(3)}}, path)
    assert find_damage(path) is None
    assert os.listdir(tmp_path) == ["last.ckpt"]


def test_a_batch_larger_than_the_memory_is_refused_at_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--config", str(write_settings(tmp_path)), "data.dataloader.batch_size=100000000"]) == 2
    assert "data.dataloader.batch_size is 100000000: one batch takes" in capsys.readouterr().err


@pytest.mark.parametrize("signum", [signal.SIGKILL, signal.SIGBUS])
def test_a_lost_worker_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], signum: signal.Signals
) -> None:
    parent, usual = os.getpid(), TrainingPatches.__getitem__

    def cut(self: TrainingPatches, number: int) -> object:
        if number >= 8 and os.getpid() != parent:
            signal.signal(signal.SIGBUS, signal.SIG_DFL)
            os.kill(os.getpid(), signum)
        return usual(self, number)

    monkeypatch.setattr(TrainingPatches, "__getitem__", cut)
    assert main(["--config", str(write_settings(tmp_path)), "system.num_workers=1"]) == 2
    told = capsys.readouterr().err
    assert "a process that cuts patches was ended from outside" in told
    assert "--checkpoint" in told
    assert list(tmp_path.rglob("last.ckpt"))
