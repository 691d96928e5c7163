"""`benchmarks/gpu.py`: the script for a machine with a GPU, in miniature, and that it ends in time whatever happens."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from benchmarks.gpu import STAGES, Results, run_stage
from benchmarks.gpu_stages.bench import TINY, Bench, Report

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
