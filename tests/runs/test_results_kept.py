"""Nothing finished is replaced or deleted unasked, and one process works on a result."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest

from connectomics.files import hold
from connectomics.inference.predict import predict_volume
from connectomics.metrics import components
from connectomics.runs.cli import main
from connectomics.volumes import labelled
from connectomics.volumes.hdf5 import HDF5Source
from connectomics.volumes.intensity import measure_intensity
from tests.runs.reading import only_run
from tests.small_run import write_pair, write_settings

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a run of three steps, trained once for all tests here."""
    folder = tmp_path_factory.mktemp("trained")
    path = write_settings(folder)
    assert main(["--config", str(path), "optimization.max_steps=3"]) == 0
    return only_run(folder / "runs")


@pytest.fixture
def run(small: Path, trained: Path) -> Path:
    return Path(shutil.copytree(trained, small.parent / "runs" / trained.name))


def command(small: Path, run: Path, *more: object, mode: str = "test") -> list[str]:
    last = run / "checkpoints" / "last.ckpt"
    return [str(a) for a in ("--config", small, "--mode", mode, "--checkpoint", last, *more)]


def files(folder: Path) -> dict[str, bytes]:
    """Return the content of every file of a result, but for grey values, and for when a page was made."""
    found = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not path.name.endswith("_grey_values.json"):
            found[str(path.relative_to(folder))] = re.sub(rb"<dt>made</dt><dd>[^<]*", b"", path.read_bytes())
    return found


def earlier(run: Path) -> list[Path]:
    folder = run / "results" / "earlier"
    return sorted(folder.iterdir()) if folder.exists() else []


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir() if path.is_file()} - {".im_test_grey_values.json"}


WRITTEN = {"test_im_test_prediction.h5", "test_im_test_mask.h5", "test_im_test_synapses.csv", "test_im_test.png",
           "test_im_test_metrics.json", "test_im_test_instances.h5", "test_im_test_annotated.csv"}  # fmt: skip
JOINT = {"metrics.json", "report.html"}


def test_the_results_of_another_volume_stay_beside_the_new_ones(small: Path, run: Path, tmp_path: Path) -> None:
    assert main(command(small, run)) == 0
    before = files(run / "results")
    image, label = write_pair(tmp_path, "other", seed=9)
    assert main(command(small, run, f"data.test.image=[{image}]", f"data.test.label=[{label}]")) == 0
    after = files(run / "results")
    assert {name: after[name] for name in WRITTEN} == {name: before[name] for name in WRITTEN}
    assert list(json.loads(after["metrics.json"])["volumes"]) == ["im_other"]
    (kept,) = earlier(run)
    assert files(kept) == {name: before[name] for name in JOINT}


@pytest.mark.parametrize(
    ("change", "moved"),
    [
        ("data.test.crop=[':5',':',':']", WRITTEN | JOINT),
        ("inference.window.overlap=0.25", WRITTEN | JOINT),
        ("inference.use_ema=false", WRITTEN | JOINT),
        ("inference.save_dtype=uint8", WRITTEN | JOINT),
        ("decoding.threshold=0.4", WRITTEN - {"test_im_test_prediction.h5"} | JOINT),
        ("evaluation.metrics=[dice]",
         WRITTEN - {"test_im_test_prediction.h5", "test_im_test_mask.h5"} | JOINT),
        ("evaluation.min_iou=0.4", WRITTEN - {"test_im_test_prediction.h5", "test_im_test_mask.h5"} | JOINT),
        ("evaluation.connectivity=6", WRITTEN - {"test_im_test_prediction.h5", "test_im_test_mask.h5"} | JOINT),
        ("inference.window.sw_batch_size=1", set()),
        ("model.loss.losses.0.weight=3", set()),
    ],
)  # fmt: skip
def test_what_other_settings_had_given_is_moved_and_not_lost(
    small: Path, run: Path, change: str, moved: set[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(command(small, run)) == 0
    before = files(run / "results")
    capsys.readouterr()
    assert main(command(small, run, change)) == 0
    said = capsys.readouterr().out
    kept = {name: content for folder in earlier(run) for name, content in files(folder).items()}
    assert kept == {name: before[name] for name in moved}
    assert ("is kept in" in said) == bool(moved)
    assert names(run / "results") >= WRITTEN | JOINT
    assert ("is there already" in said) == ("test_im_test_prediction.h5" not in moved)
    assert main(command(small, run, change)) == 0  # the same again moves nothing
    assert len(earlier(run)) == bool(moved)


def test_without_labels_the_same_again_moves_nothing_and_another_rule_moves_what_it_changes(
    small: Path, run: Path
) -> None:
    alone = ["data.test.label=[]", "evaluation.enabled=false"]
    assert main(command(small, run, *alone)) == 0
    before = files(run / "results")
    assert set(before) == WRITTEN - {"test_im_test_metrics.json", "test_im_test_annotated.csv"} | {"report.html"}
    assert main(command(small, run, *alone)) == 0
    assert earlier(run) == []
    before = files(run / "results")
    assert main(command(small, run, *alone, "evaluation.connectivity=6")) == 0
    (kept,) = earlier(run)
    moved = {"test_im_test_instances.h5", "test_im_test_synapses.csv", "test_im_test.png", "report.html"}
    assert files(kept) == {name: before[name] for name in moved}


def test_a_crop_and_a_smaller_crop_are_both_kept(small: Path, run: Path) -> None:
    for sections in (":5", ":4", ":5"):
        assert main(command(small, run, f"data.test.crop=['{sections}',':',':']")) == 0
    depths = []
    for folder in (run / "results", *earlier(run)):
        with h5py.File(folder / "test_im_test_prediction.h5") as file:
            depths.append(file["main"].shape[0])
    assert sorted(depths) == [4, 5, 5]


def test_results_go_where_they_are_asked_for(small: Path, run: Path, tmp_path: Path) -> None:
    assert main(command(small, run, "--out", tmp_path / "elsewhere" / "deep")) == 0
    assert names(tmp_path / "elsewhere" / "deep") == WRITTEN | JOINT
    assert not (run / "results").exists()
    tried = "decoding.tuning.thresholds=[0.3,0.6,0.1]"
    assert main(command(small, run, "--out", tmp_path / "tuned", tried, mode="tune")) == 0
    assert {"tune.json", "tune.html", "tuned.yaml"} < names(tmp_path / "tuned")


@pytest.mark.parametrize("mode", ["test", "tune"])
def test_save_path_is_refused_where_it_would_do_nothing(
    small: Path, run: Path, mode: str, capsys: pytest.CaptureFixture[str]
) -> None:
    for override in ("save_path=elsewhere", f"{mode}.save_path=elsewhere"):
        assert main(command(small, run, override, mode=mode)) == 2
        assert "save_path is where trainings go" in capsys.readouterr().err


def test_tuning_that_other_thresholds_decided_is_kept(small: Path, run: Path) -> None:
    for last in ("0.6", "0.7", "0.7"):
        assert main(command(small, run, f"decoding.tuning.thresholds=[0.3,{last},0.1]", mode="tune")) == 0
    (kept,) = earlier(run)
    assert names(kept) == {"tune.json", "tune.html", "tuned.yaml"}


def killed_in_the_middle(monkeypatch: pytest.MonkeyPatch, arguments: list[str]) -> None:
    """Predict until some sections are saved, as if the process had been killed then."""
    from connectomics.volumes.stage import StagedVolume

    write, count = StagedVolume.write, []

    def write_two(self: StagedVolume, sections: object) -> None:
        if count:
            raise KeyboardInterrupt
        count.append(1)
        write(self, sections)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(StagedVolume, "write", write_two)
        assert main(arguments) == 130


def test_an_unfinished_prediction_is_dropped_only_when_asked(
    small: Path, run: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    killed_in_the_middle(monkeypatch, command(small, run))
    stage = run / "results" / ".test_im_test_prediction.h5.stage"
    pieces = files(stage)
    assert any(name.endswith(".npy") for name in pieces)
    other = command(small, run, "inference.window.overlap=0.25")
    capsys.readouterr()
    assert main(other) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "test_im_test_prediction.h5: an unfinished prediction is there, made with other settings" in line
    assert "--restart" in line
    assert files(stage) == pieces
    assert main(command(small, run, "inference.window.sw_batch_size=1")) == 0  # changes no number: it goes on
    said = capsys.readouterr().out
    assert "going on at section" in said
    assert "begun with other sw_batch_size" in said
    killed_in_the_middle(monkeypatch, other)
    assert main([*command(small, run, "inference.window.overlap=0.4"), "--restart"]) == 0
    assert "was dropped, made with other settings" in capsys.readouterr().out
    assert not stage.exists()


def test_a_folder_that_was_moved_finds_its_prediction(
    small: Path, run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(command(small, run)) == 0
    moved = small.parent / "moved"
    moved.mkdir()
    for name in ("im_test.h5", "syn_test.h5"):
        (small.parent / name).rename(moved / name)
    capsys.readouterr()
    there = [f"data.test.image=[{moved}/im_test.h5]", f"data.test.label=[{moved}/syn_test.h5]"]
    assert main(command(small, run, *there)) == 0
    assert "is there already" in capsys.readouterr().out
    assert earlier(run) == []


def test_an_image_that_is_overwritten_while_it_is_predicted_gives_no_result(
    small: Path, run: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    image = small.parent / "im_test.h5"

    def overwrite(volume: object, *arguments: object) -> object:
        for i, sections in enumerate(predict_volume(volume, *arguments)):  # type: ignore[arg-type]
            if i == 0:
                os.utime(image, ns=(time.time_ns(), time.time_ns()))
            yield sections

    monkeypatch.setattr("connectomics.inference.saved.predict_volume", overwrite)
    assert main(command(small, run)) == 2
    assert "was changed while it was predicted" in capsys.readouterr().err
    assert names(run / "results") == set()
    monkeypatch.undo()
    assert main(command(small, run)) == 0


SLOW = """
import sys, time
from connectomics.runs import prediction as predict
from connectomics.metrics import components
from connectomics.runs.cli import main
tell = predict._tell_what_is_there
def wait(name, stage):
    tell(name, stage)
    print("working", flush=True)
    time.sleep(60)
predict._tell_what_is_there = wait
sys.exit(main(sys.argv[1:]))
"""


@pytest.mark.parametrize("change", [[], ["inference.window.overlap=0.25"]])
def test_a_second_process_is_told_who_works_there_and_touches_nothing(
    small: Path, run: Path, change: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    first = subprocess.Popen(
        [sys.executable, "-c", SLOW, *command(small, run)], stdout=subprocess.PIPE, text=True, cwd=ROOT
    )
    try:
        assert first.stdout is not None
        assert any(line == "working\n" for line in first.stdout)
        before = files(run / "results")
        assert main(command(small, run, *change)) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert f"test of im_test is being worked on by process {first.pid} on" in line
        assert files(run / "results") == before
    finally:
        first.send_signal(signal.SIGKILL)
        first.communicate()
    assert main(command(small, run)) == 0
    assert names(run / "results") == WRITTEN | JOINT


def test_two_trainings_do_not_write_into_one_run(small: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--config", str(small), "optimization.max_steps=3"]) == 0
    run = only_run(small.parent / "runs")
    before = files(run)
    last = run / "checkpoints" / "last.ckpt"
    with hold(run / ".lock", "a training"):
        assert main(["--config", str(small), "--checkpoint", str(last), "optimization.max_steps=6"]) == 2
    assert f"{run}: the training is being worked on by process {os.getpid()}" in capsys.readouterr().err
    assert files(run) == before
    assert main(["--config", str(small), "--checkpoint", str(last), "optimization.max_steps=6"]) == 0
    assert not (run / ".lock").exists()


def test_of_several_processes_of_one_job_only_the_first_works(
    small: Path, run: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    for variable in ("RANK", "LOCAL_RANK", "SLURM_PROCID"):
        for mode in ("test", "tune"):
            with monkeypatch.context() as patch:
                patch.setenv(variable, "1")
                assert main(command(small, run, mode=mode)) == 0
            out, err = capsys.readouterr()
            assert out == ""
            assert err == f"{variable}=1: nothing to do; the first process of this run does the work\n"
    assert not (run / "results").exists()


@pytest.mark.parametrize("rank", ["", "0"])
def test_a_rank_that_is_empty_or_0_is_the_first_process(
    small: Path, run: Path, rank: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable in ("RANK", "LOCAL_RANK", "SLURM_PROCID"):
        monkeypatch.setenv(variable, rank)
    assert main(command(small, run)) == 0
    assert (run / "results" / "metrics.json").exists()


@pytest.mark.parametrize("mode", ["test", "tune"])
def test_each_image_is_opened_once_and_its_grey_values_are_read_once(
    small: Path, run: Path, mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[str] = []
    measured: list[str] = []
    init: Callable[..., None] = HDF5Source.__init__

    def count(self: HDF5Source, path: Path, *arguments: object) -> None:
        opened.append(path.name)
        init(self, path, *arguments)

    def measure(source: object, *arguments: object) -> object:
        measured.append(source.info.location)  # type: ignore[attr-defined]
        return measure_intensity(source, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(HDF5Source, "__init__", count)
    monkeypatch.setattr(labelled, "measure_intensity", measure)
    assert main(command(small, run, "decoding.tuning.thresholds=[0.3,0.6,0.1]", mode=mode)) == 0
    name = "test" if mode == "test" else "val"
    assert opened.count(f"im_{name}.h5") == 1
    assert opened.count(f"syn_{name}.h5") == 1
    assert len(measured) == 1


def test_each_mask_is_labelled_once_for_the_scores_and_the_table(
    small: Path, run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    labelled_masks = []
    label = components.label_mask

    def count(mask: np.ndarray, connectivity: int = 26) -> object:
        labelled_masks.append(mask.shape)
        return label(mask, connectivity)

    monkeypatch.setattr(components, "label_mask", count)
    every = "evaluation.metrics=[cremi_distance,jaccard,synapse_f1,synapse_detection]"
    assert main(command(small, run, every, "evaluation.report=false")) == 0
    assert len(labelled_masks) == 2  # the predicted one and the annotated one


def test_the_prediction_of_a_fixed_small_network_is_that_of_its_version(tmp_path: Path) -> None:
    """Raise `PREDICTION_VERSION`, and write the new numbers here, when a change of the code moves them."""
    import torch

    from connectomics.inference import Lane
    from connectomics.inference.fingerprint import PREDICTION_VERSION
    from connectomics.volumes.intensity import IntensityRange
    from connectomics.volumes.source import ArraySource
    from tests.inference.conftest import make_plan

    z, y, x = np.indices((5, 40, 30))
    image = ArraySource.of(((7 * z + 3 * y + 5 * x) % 251).astype(np.uint8))
    plan = make_plan(activation="sigmoid")

    def forward(windows: torch.Tensor) -> torch.Tensor:
        ramp = torch.linspace(-1, 1, windows.shape[-1])
        return 3 * windows - 1 + ramp

    lanes = [Lane(forward, torch.device("cpu"))]
    found = np.concatenate([s.voxels for s in predict_volume(image, IntensityRange(0, 255), plan, lanes)], axis=1)
    numbers = [float(found.mean()), float(found.std()), float(found[0, 2, 20, 7]), float(found[0, 4, 39, 29])]
    assert (PREDICTION_VERSION, numbers) == (1, pytest.approx(PREDICTED, abs=1e-5))


PREDICTED = [0.625473, 0.195838, 0.553714, 0.612735]
