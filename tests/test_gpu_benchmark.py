"""`benchmarks/gpu.py`: the script for a machine with a GPU, in miniature, and that it ends in time whatever happens."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from benchmarks.gpu import STAGES, Results, main, run_stage
from benchmarks.gpu_stages import predicting, real, steps
from benchmarks.gpu_stages.bench import TINY, Bench, Report, Row

ROOT = Path(__file__).parents[1]


@pytest.mark.slow
def test_every_stage_runs_in_miniature(tmp_path: Path) -> None:
    command = [sys.executable, "benchmarks/gpu.py", "--device", "cpu", "--tiny", "--minutes", "3", "--out", tmp_path]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    stages = json.loads((tmp_path / "gpu.json").read_text(encoding="utf-8"))["stages"]
    assert list(stages) == list(STAGES)
    assert all(stage["rows"] and stage["error"] is None for stage in stages.values())
    table = (tmp_path / "gpu.md").read_text(encoding="utf-8")
    assert all(f"## {name} (" in table for name in STAGES)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_without_a_gpu_one_line_says_so(tmp_path: Path) -> None:
    environment = os.environ | {"OUT": str(tmp_path)}
    command = [sys.executable, "benchmarks/gpu.py"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, env=environment, timeout=120)
    assert done.returncode == 2
    assert done.stderr.splitlines() == [
        "error: torch sees no GPU here; --device cpu --tiny tries the script in miniature"
    ]


def bench(folder: Path, seconds: float) -> Bench:
    return Bench(torch.device("cpu"), TINY, time.monotonic() + seconds, folder, None)


def test_a_stage_that_fails_keeps_its_rows_and_says_why(tmp_path: Path) -> None:
    def broken(bench: Bench, report: Report) -> None:
        report({"what": "first"})
        raise ValueError("a | b\nbroke")

    results = Results(tmp_path, "test")
    run_stage(results, "a: one", broken, bench(tmp_path, 10))
    run_stage(results, "b: two", lambda bench, report: report({"what": "second", "good": True}), bench(tmp_path, 10))
    stages = json.loads((tmp_path / "gpu.json").read_text(encoding="utf-8"))["stages"]
    assert stages["a: one"]["rows"] == [{"what": "first"}]
    assert stages["a: one"]["error"] == "ValueError: a | b\nbroke"
    assert stages["b: two"]["error"] is None
    assert "Failed: ValueError: a / b broke\n" in (tmp_path / "gpu.md").read_text(encoding="utf-8")
    assert not results.is_good


def test_a_stage_that_does_not_end_is_ended(tmp_path: Path) -> None:
    def endless(bench: Bench, report: Report) -> None:
        report({"what": "begun"})
        while True:
            time.sleep(0.05)

    results, begun = Results(tmp_path, "test"), time.monotonic()
    run_stage(results, "a: one", endless, bench(tmp_path, -4.5))
    assert time.monotonic() - begun < 5
    assert results.stages["a: one"]["error"] == "took longer than it may, and was ended"
    assert results.stages["a: one"]["rows"] == [{"what": "begun"}]


def test_a_signal_that_nobody_listens_to_yet_does_not_end_the_script() -> None:
    before, heard = signal.getsignal(signal.SIGUSR1), []
    with real.asked_to_stop_after(0.0):
        time.sleep(1.3)  # the first one, which would end the process
        signal.signal(signal.SIGUSR1, lambda signum, frame: heard.append(signum))
        time.sleep(1.3)  # asked again
    assert heard
    assert signal.getsignal(signal.SIGUSR1) == before


@pytest.mark.parametrize(("device", "seconds", "compiled"), [("cpu", 20, 6), ("cuda", 20, 0), ("cuda", 90, 6)])
def test_all_eager_steps_are_measured_before_the_first_is_compiled(
    device: str, seconds: float, compiled: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    measured: list[tuple[bool, int]] = []

    def measure(bench: Bench, batch: int, form: str, in_2d: bool, compiled: bool, top: float) -> Row:
        measured.append((compiled, batch))
        return {}

    monkeypatch.setattr(steps, "_measure", measure)
    monkeypatch.setattr(steps, "roof", lambda bench: 1.0)
    sizes, rows = replace(TINY, batches=(4, 8)), []
    steps.time_steps(Bench(torch.device(device), sizes, time.monotonic() + seconds, tmp_path, None), rows.append)
    assert measured == [(False, 4)] * 3 + [(False, 8)] * 3 + [(True, 4)] * (compiled // 2) + [(True, 8)] * (
        compiled // 2
    )
    assert len(rows) == 14


def test_a_prediction_leaves_time_for_what_comes_after_it(tmp_path: Path) -> None:
    works = bench(tmp_path, 60)
    image, _ = works.volumes()
    row = predicting._predict(works, works.config("test"), image, lambda windows: windows, 0.0)
    done, whole = (int(number) for number in row["sections"].split(" of "))
    assert 0 < done < whole


def test_float32_is_not_rounded_to_tf32(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", True)
    assert main(["--device", "cpu", "--tiny", "--stages", "", "--out", str(tmp_path)]) == 0
    assert not torch.backends.cudnn.allow_tf32
