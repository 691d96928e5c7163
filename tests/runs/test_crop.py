"""Held-out sections by the command line: predicted as in the whole volume, scored by their own labels alone."""

import gc
import json
from pathlib import Path

import h5py
import numpy as np
import pytest

from connectomics.runs.cli import main
from connectomics.volumes.read import open_volume, read_volume
from tests.runs.reading import only_run

CROP = ("2:4", "5:28", ":30")
INSIDE = (slice(2, 4), slice(5, 28), slice(0, 30))
TUNED = ["decoding.tuning.thresholds=[0.1,0.9,0.2]", "decoding.tuning.min_sizes=[0]"]


def run_cli(*arguments: object) -> None:
    assert main([str(argument) for argument in arguments]) == 0


@pytest.fixture
def run(small: Path) -> Path:
    run_cli("--config", small, "optimization.max_steps=3")
    return only_run(small.parent / "runs")


def in_mode(mode: str, small: Path, run: Path, *more: str) -> None:
    run_cli("--config", small, "--mode", mode, "--checkpoint", run / "checkpoints" / "last.ckpt", *TUNED, *more)


def cropped(stage: str) -> str:
    return f"data.{stage}.crop={json.dumps(CROP)}"


def scores(run: Path, name: str) -> object:
    return {key: part for key, part in json.loads((run / "results" / name).read_text()).items() if key != "stamp"}


@pytest.mark.parametrize("more", [[], ["inference.preset=fast"], ["decoding.min_size=2"]], ids=str)
def test_a_crop_is_predicted_as_in_the_whole_volume(small: Path, run: Path, more: list[str]) -> None:
    file = run / "results" / "test_im_test_prediction.h5"
    in_mode("test", small, run, *more)
    whole = read_volume(str(file)).voxels
    in_mode("test", small, run, cropped("test"), *more)
    found = read_volume(str(file)).voxels
    np.testing.assert_allclose(found, whole[(slice(None), *INSIDE)], rtol=0, atol=1e-6)
    assert open_volume(str(file)).info.offset_nm == (80.0, 20.0, 0.0)
    assert (run / "results" / "report.html").exists()
    in_mode("test", small, run, cropped("test"), "data.test.see_beyond_crop=false", *more)
    assert np.abs(read_volume(str(file)).voxels - found).max() > 1e-4


@pytest.mark.parametrize(("mode", "stage", "file"), [("test", "test", "metrics.json"), ("tune", "val", "tune.json")])
def test_labels_outside_a_crop_do_not_change_a_score(small: Path, run: Path, mode: str, stage: str, file: str) -> None:
    in_mode(mode, small, run, cropped(stage))
    before = scores(run, file)
    gc.collect()  # the training of this process refers to its volumes in circles, and holds their files open until then
    with h5py.File(small.parent / f"syn_{stage}.h5", "r+") as label:
        changed = np.ones_like(label["main"][:])
        changed[INSIDE] = label["main"][INSIDE]
        label["main"][:] = changed
    in_mode(mode, small, run, cropped(stage))
    assert scores(run, file) == before


def test_a_prediction_that_is_not_saved_finds_the_same(small: Path, run: Path) -> None:
    more = ["data.test.crop=" + json.dumps(CROP), "evaluation.report=false", "evaluation.synapses=false"]
    in_mode("test", small, run, *more)
    before = scores(run, "metrics.json")
    in_mode("test", small, run, *more, "inference.save_results=false")
    assert scores(run, "metrics.json") == before


def test_a_try_of_a_few_windows_goes_through(small: Path, run: Path) -> None:
    in_mode("test", small, run, cropped("test"), "--fast-dev-run", "2")
