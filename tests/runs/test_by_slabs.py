"""`evaluation.by_slabs`: what is found slab by slab is what is found in the whole volume."""

from __future__ import annotations

import json
from pathlib import Path

import h5py
import numpy as np
import pytest

from connectomics.runs import by_slabs
from connectomics.runs.cli import main
from connectomics.volumes.write import write_volume
from tests.small_run import write_pair, write_settings

FILES = ("prediction", "mask", "instances")


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Train a tiny network, and return the folder that holds its settings, deep volumes and runs."""
    folder = tmp_path_factory.mktemp("trained")
    settings = write_settings(folder)
    write_pair(folder, "test", (31, 40, 44), seed=7)  # four slabs
    drawn = np.ones((31, 40, 44), np.uint8)
    drawn[:, :, 30:], drawn[:4] = 0, 0
    write_volume(folder / "mask.h5", drawn, {"resolution": np.array([40.0, 4.0, 4.0])})
    assert main(["--config", str(settings), "optimization.max_steps=9"]) == 0
    return folder


def run(trained: Path, out: Path, slabs: str, *more: str, mode: str = "test") -> int:
    checkpoint = next((trained / "runs").iterdir()) / "checkpoints" / "last.ckpt"
    given = ["--config", str(trained / "small.yaml"), "--mode", mode, "--checkpoint", str(checkpoint)]
    return main([*given, "--out", str(out), f"evaluation.by_slabs={slabs}", *more])


@pytest.fixture(scope="module")
def threshold(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return the setting of a threshold that leaves some ten percent of the voxels."""
    out = tmp_path_factory.mktemp("first")
    assert run(trained, out, "false", "evaluation.report=false") == 0
    with h5py.File(out / "test_im_test_prediction.h5") as file:
        return f"decoding.threshold={np.quantile(np.asarray(file['main']), 0.9):.4f}"


ALL = "evaluation.metrics=[cremi_distance,jaccard,dice,precision,recall]"


@pytest.mark.parametrize(
    "more",
    [
        [],
        ["decoding.min_size=40", "evaluation.connectivity=6"],
        ["data.test.mask=[MASK]", "inference.save_dtype=uint8", "decoding.min_size=5"],
        ["evaluation.max_distance_nm=60", "evaluation.connectivity=18", "data.test.crop=['3:29','2:','1:40']"],
    ],
)
def test_every_file_and_score_is_that_of_the_whole_volume(
    trained: Path, threshold: str, tmp_path: Path, more: list[str]
) -> None:
    more = [
        ALL,
        threshold,
        *(m.replace("MASK", str(trained / "mask.h5")) for m in more),
    ]
    assert run(trained, tmp_path / "whole", "false", "evaluation.report=false", *more) == 0
    assert run(trained, tmp_path / "slabs", "true", *more) == 0
    for name in FILES:
        both = []
        for way in ("whole", "slabs"):
            with h5py.File(tmp_path / way / f"test_im_test_{name}.h5") as file:
                both.append(np.asarray(file["main"]))
        np.testing.assert_array_equal(*both)
        assert both[0].dtype == both[1].dtype
    assert both[0].max() > 3
    for name in ("test_im_test_synapses.csv", "test_im_test_annotated.csv"):
        assert (tmp_path / "slabs" / name).read_text() == (tmp_path / "whole" / name).read_text()
    scores = [json.loads((tmp_path / way / "metrics.json").read_text())["volumes"] for way in ("whole", "slabs")]
    assert scores[0] == scores[1]
    assert not (tmp_path / "slabs" / "report.html").exists()


def test_without_a_label_the_same_objects_are_listed(trained: Path, threshold: str, tmp_path: Path) -> None:
    assert run(trained, tmp_path / "whole", "false", threshold, "evaluation.report=false", mode="predict") == 0
    assert run(trained, tmp_path / "slabs", "true", threshold, mode="predict") == 0
    table = "test_im_test_synapses.csv"
    assert (tmp_path / "slabs" / table).read_text() == (tmp_path / "whole" / table).read_text()


def test_a_volume_too_large_for_the_memory_goes_by_slabs_unasked(
    trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(by_slabs, "host_memory_gib", lambda: 31 * 40 * 44 * 15 / 2**30)
    assert run(trained, tmp_path, "null") == 0
    assert "no report.html: objects of im_test are found slab by slab" in capsys.readouterr().out


def test_what_cannot_go_by_slabs_says_before_it_begins_what_it_needs(
    trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(by_slabs, "host_memory_gib", lambda: 1e-6)
    assert run(trained, tmp_path, "null", "inference.save_results=false") == 2
    assert "need about 0 GiB, this machine has 0; set evaluation.enabled" in capsys.readouterr().err
    assert not list(tmp_path.glob("*.h5"))
    assert run(trained, tmp_path, "true", "inference.save_results=false") == 2
    assert "evaluation.by_slabs goes with" in capsys.readouterr().err


def test_a_label_that_cannot_be_used_leaves_the_objects(trained: Path, tmp_path: Path, capsys) -> None:
    bad = tmp_path / "bad.h5"
    write_volume(bad, np.full((31, 40, 44), -3, np.int32), {"resolution": np.array([40.0, 4.0, 4.0])})
    assert run(trained, tmp_path / "slabs", "true", f"data.test.label=[{bad}]") == 2
    assert "im_test has no scores: the label holds the id -3" in capsys.readouterr().err
    assert (tmp_path / "slabs" / "test_im_test_synapses.csv").exists()
