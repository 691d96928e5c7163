"""`--shard`: several processes predict a volume together, and what comes out is what one makes alone."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import h5py
import numpy as np
import pytest

from connectomics.files import hold
from connectomics.inference import predict_block
from connectomics.runs import shares
from connectomics.runs.cli import main
from tests.small_run import write_settings

BLOCKS = "inference.block_depth=2"
FILES = ("test_im_test_prediction.h5", "test_im_test_mask.h5", "test_im_test_instances.h5")


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Train a tiny network, and return the folder that holds its settings, volumes and runs."""
    folder = tmp_path_factory.mktemp("trained")
    assert main(["--config", str(write_settings(folder))]) == 0
    return folder


@pytest.fixture(scope="module")
def whole(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the results of one process alone."""
    out = tmp_path_factory.mktemp("whole")
    assert main(command(trained, out)) == 0
    return out


def command(trained: Path, out: Path, *more: str) -> list[str]:
    checkpoint = next((trained / "runs").iterdir()) / "checkpoints" / "last.ckpt"
    given = ["--config", str(trained / "small.yaml"), "--mode", "test", "--checkpoint", str(checkpoint)]
    return [*given, "--out", str(out), "evaluation.instances=true", *more]


def share(trained: Path, out: Path, number: int, of: int, *more: str) -> int:
    return main(command(trained, out, "--shard", f"{number}/{of}", *(more or (BLOCKS,))))


def start(arguments: list[str]) -> subprocess.Popen[str]:
    program = [sys.executable, "-W", "ignore", "-m", "tests.runs.slow_share", *arguments]
    return subprocess.Popen(program, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def require_same(one: Path, other: Path) -> None:
    for name in FILES:
        with h5py.File(one / name) as a, h5py.File(other / name) as b:
            np.testing.assert_array_equal(np.asarray(a["main"]), np.asarray(b["main"]))
    scores = [json.loads((folder / "metrics.json").read_text())["volumes"] for folder in (one, other)]
    assert scores[0] == scores[1]
    tables = [(folder / "test_im_test_synapses.csv").read_text() for folder in (one, other)]
    assert tables[0] == tables[1]


def test_one_of_several_processes_ends_what_the_others_leave(trained: Path, whole: Path, tmp_path: Path) -> None:
    assert share(trained, tmp_path, 1, 3) == 0
    require_same(whole, tmp_path)
    assert not (tmp_path / ".test_im_test_prediction.h5.stage").exists()


@pytest.mark.slow
def test_three_processes_at_odd_moments_make_what_one_makes(trained: Path, whole: Path, tmp_path: Path) -> None:
    running = []
    for number in range(3):
        running.append(start(command(trained, tmp_path, "--shard", f"{number}/3", BLOCKS)))
        time.sleep(0.4 * number)
    told = [process.communicate(timeout=120) for process in running]
    assert [process.returncode for process in running] == [0, 0, 0], told
    require_same(whole, tmp_path)
    blocks = sorted(line for out, _ in told for line in out.splitlines() if "of 3" in line)
    assert [line.partition("block ")[2] for line in blocks] == ["1 of 3", "2 of 3", "3 of 3"]


@pytest.mark.slow
def test_what_killed_processes_leave_is_taken_by_others(trained: Path, whole: Path, tmp_path: Path) -> None:
    for kill in range(3):
        process = start(command(trained, tmp_path, "--shard", f"{kill}/3", BLOCKS))
        stage = tmp_path / ".test_im_test_prediction.h5.stage"
        until = time.monotonic() + 60
        before = len(list(stage.glob("*.npy")))
        while len(list(stage.glob("*.npy"))) <= before and process.poll() is None and time.monotonic() < until:
            time.sleep(0.01)
        os.kill(process.pid, signal.SIGKILL)
        process.communicate(timeout=60)
    assert not (tmp_path / "metrics.json").exists()
    assert share(trained, tmp_path, 0, 2) == 0
    require_same(whole, tmp_path)


def test_a_block_that_another_process_holds_is_left_to_it(trained: Path, whole: Path, tmp_path: Path, capsys) -> None:
    came: list[int] = []

    def predict_and_stay(pieces, *args) -> None:  # the first block is begun, and another process comes
        if not came:
            lock = next(pieces.folder.glob("*.lock"))
            came.append(1)
            assert share(trained, tmp_path, 0, 2) == 0
            assert lock.exists()
        predict_block(pieces, *args)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shares, "predict_block", predict_and_stay)
        assert share(trained, tmp_path, 0, 2) == 0
    assert "1 block(s) are with other processes" in capsys.readouterr().out
    require_same(whole, tmp_path)


def test_new_weights_take_over_no_block(trained: Path, whole: Path, tmp_path: Path, capsys) -> None:
    leave_unfinished(trained, tmp_path, "inference.use_ema=false", BLOCKS)
    assert share(trained, tmp_path, 0, 2) == 2
    assert "made with other weights" in capsys.readouterr().err
    assert main(command(trained, tmp_path, "--shard", "0/2", "--restart", BLOCKS)) == 0
    require_same(whole, tmp_path)


def leave_unfinished(trained: Path, out: Path, *more: str) -> None:
    """Finish one block, and be killed in the next."""
    blocks = []

    def die(*args) -> None:
        blocks.append(1)
        if len(blocks) == 2:
            raise KeyboardInterrupt
        predict_block(*args)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shares, "predict_block", die)
        assert share(trained, out, 0, 2, *more) == 130


def test_nothing_is_assembled_before_all_is_there(trained: Path, whole: Path, tmp_path: Path, capsys) -> None:
    leave_unfinished(trained, tmp_path, BLOCKS)
    assert main(command(trained, tmp_path, "--assemble")) == 2
    assert "2 block(s)" in capsys.readouterr().err
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shares, "_close", lambda job: None)
        assert share(trained, tmp_path, 3, 4, "inference.block_depth=1") == 0  # in the blocks that were begun
    assert not (tmp_path / "metrics.json").exists()
    assert main(command(trained, tmp_path, "--assemble")) == 0
    require_same(whole, tmp_path)


def test_one_process_alone_goes_on_with_what_several_began(trained: Path, whole: Path, tmp_path: Path) -> None:
    leave_unfinished(trained, tmp_path, BLOCKS)
    assert main(command(trained, tmp_path)) == 0
    require_same(whole, tmp_path)


def test_one_process_alone_waits_for_none_that_shares(trained: Path, tmp_path: Path, capsys) -> None:
    leave_unfinished(trained, tmp_path, BLOCKS)
    stage = tmp_path / ".test_im_test_prediction.h5.stage"
    with hold(stage / f"{next(stage.glob('*.done')).stem}.lock", "a block"):
        assert main(command(trained, tmp_path)) == 2
    assert f"is being worked on by process {os.getpid()}" in capsys.readouterr().err


def test_a_late_process_finds_all_done(trained: Path, tmp_path: Path, capsys) -> None:
    assert share(trained, tmp_path, 0, 2) == 0
    before = {path.name: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    assert share(trained, tmp_path, 1, 2) == 0
    assert "all is done already" in capsys.readouterr().out
    assert {path.name: path.stat().st_mtime_ns for path in tmp_path.iterdir()} == before


def test_a_block_that_always_fails_ends_every_process_with_an_error(trained: Path, tmp_path: Path, capsys) -> None:
    from connectomics.errors import PredictionError

    def fail(*args) -> None:
        raise PredictionError("the network gave nan")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shares, "predict_block", fail)
        assert [share(trained, tmp_path, number, 2) for number in range(2)] == [2, 2]
    assert not (tmp_path / "metrics.json").exists()


@pytest.mark.parametrize(
    ("slip", "told"),
    [
        (["--shard", "3/3"], "is no share"),
        (["--shard", "0/2", "--assemble"], "give one of them"),
        (["--shard", "0/2", "--fast-dev-run", "2"], "go with --mode test and --mode predict"),
    ],
)
def test_a_slip_is_told(trained: Path, tmp_path: Path, slip: list[str], told: str, capsys) -> None:
    with pytest.raises(SystemExit):
        main(command(trained, tmp_path, *slip))
    assert told in capsys.readouterr().err


def test_blocks_of_several_processes_need_files(trained: Path, tmp_path: Path, capsys) -> None:
    assert share(trained, tmp_path, 0, 2, "inference.save_results=false") == 2
    assert "meet in files" in capsys.readouterr().err


def test_grey_values_are_measured_once_for_all_processes(trained: Path, tmp_path: Path) -> None:
    from connectomics.runs import grey_range

    measured = []

    def measure(*args):
        measured.append(1)
        return original(*args)

    original = grey_range.measure_image
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(grey_range, "measure_image", measure)
        assert [share(trained, tmp_path, number, 2) for number in range(2)] == [0, 0]
        assert main(command(trained, tmp_path, "inference.use_ema=false")) == 0
    assert measured == [1]
