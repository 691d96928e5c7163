"""Tune mode: one prediction of the validation volumes, the scores of every setting, and the best one for test mode."""

import json
from math import ceil
from pathlib import Path

import numpy as np
import pytest
import yaml
from scipy import ndimage

from connectomics.errors import UserError
from connectomics.runs.cli import main
from connectomics.runs.tune import average, choose_best
from connectomics.volumes.read import read_volume
from connectomics.volumes.write import write_volume
from tests.runs.reading import only_run
from tests.small_run import write_pair

TRIED = ["decoding.tuning.thresholds=[0.1,0.9,0.1]", "decoding.tuning.min_sizes=[0,6]"]


def run_cli(*arguments: object) -> int:
    return main([str(argument) for argument in arguments])


@pytest.fixture
def run(small: Path) -> Path:
    assert run_cli("--config", small, "optimization.max_steps=3") == 0
    return only_run(small.parent / "runs")


def last(run: Path) -> Path:
    return run / "checkpoints" / "last.ckpt"


def tuned(small: Path, run: Path, *more: str) -> dict:
    assert run_cli("--config", small, "--mode", "tune", "--checkpoint", last(run), *TRIED, *more) == 0
    return json.loads((run / "results" / "tune.json").read_text())


def test_tuning_writes_scores_curves_and_the_best_settings(small: Path, run: Path) -> None:
    found = tuned(small, run)
    assert {path.name for path in (run / "results").iterdir()} == {
        "tune_im_val_prediction.h5", "tune.json", "tune.html", "tuned.yaml", ".im_val_grey_values.json"}  # fmt: skip
    assert set(found) == {"volumes", "mean", "decided_by", "best", "stamp"}
    rows = found["volumes"]["im_val"]
    assert [(row["threshold"], row["min_size"]) for row in rows] == [
        (round(0.1 * i, 1), size) for size in (0, 6) for i in range(1, 10)]  # fmt: skip
    best = min((row for row in rows if row["cremi_distance"] is not None), key=lambda row: row["cremi_distance"])
    assert found["best"] == best
    assert yaml.safe_load((run / "results" / "tuned.yaml").read_text()) == {
        "decoding": {"threshold": best["threshold"], "min_size": best["min_size"]}}  # fmt: skip
    page = " ".join((run / "results" / "tune.html").read_text().split())
    assert f"threshold {best['threshold']:g}, minimum size {best['min_size']} voxels" in page
    assert "CREMI distance, nm; lower is better" in page
    assert page.count('<figure class="chart"') == 5
    assert page.count("<canvas") == 3


def test_testing_with_the_tuned_file_gives_the_scores_that_tuning_found(small: Path, run: Path) -> None:
    best = tuned(small, run)["best"]
    file = run / "results" / "tuned.yaml"
    same = [f"test.data.test={{image: [{small.parent}/im_val.h5], label: [{small.parent}/syn_val.h5]}}",
            "evaluation.metrics=[cremi_distance,jaccard,precision,recall,synapse_f1]"]  # fmt: skip
    test = ["--config", small, "--mode", "test", "--checkpoint", last(run), *same]
    assert run_cli(*test, "--tuned", file) == 0
    metrics = json.loads((run / "results" / "metrics.json").read_text())
    assert metrics["stamp"]["decoding"]["threshold"] == best["threshold"]
    scores = metrics["volumes"]["im_val"]
    assert scores["cremi_distance"]["score"] == pytest.approx(best["cremi_distance"], rel=1e-9)
    assert scores["cremi_distance"]["adf"] == pytest.approx(best["adf"], rel=1e-9)
    for name in ("jaccard", "precision", "recall", "synapse_f1"):
        assert scores[name] == pytest.approx(best[name], rel=1e-9)
    assert run_cli(*test, "--tuned", file, "decoding.threshold=0.123") == 0  # the command line wins
    assert json.loads((run / "results" / "metrics.json").read_text())["stamp"]["decoding"]["threshold"] == 0.123
    prediction = read_volume(str(run / "results" / "test_im_val_prediction.h5")).voxels[0]
    mask = read_volume(str(run / "results" / "test_im_val_mask.h5")).voxels[0]
    assert mask.sum() <= (prediction >= np.float32(0.123)).sum()


def test_the_prediction_is_made_once(small: Path, run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first = tuned(small, run)
    assert "is there already" not in capsys.readouterr().out
    again = tuned(small, run, "decoding.tuning.metric=jaccard")
    assert "is there already" in capsys.readouterr().out
    assert again["volumes"] == first["volumes"]
    assert again["decided_by"] == "jaccard"
    assert again["best"]["jaccard"] == max(row["jaccard"] for row in first["mean"])


@pytest.mark.parametrize("says", [True, False])
def test_a_best_threshold_at_the_end_of_the_range_is_told(
    small: Path, run: Path, capsys: pytest.CaptureFixture[str], says: bool
) -> None:
    best = tuned(small, run)["best"]["threshold"]
    assert 0.1 < best < 0.9
    capsys.readouterr()
    tuned(small, run, f"decoding.tuning.thresholds=[{best if says else 0.1},0.9,0.1]")
    assert ("beyond it could be a better one" in capsys.readouterr().out) == says


def test_a_best_setting_that_finds_no_synapse_is_told(
    small: Path, run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tuned(small, run)
    assert "not one annotated object" not in capsys.readouterr().out
    prediction = read_volume(str(run / "results" / "tune_im_val_prediction.h5")).voxels[0]
    label = (prediction == prediction.min()).astype(np.uint8)
    hidden = small.parent / "hidden.h5"
    write_volume(hidden, label, {"resolution": np.array([40.0, 4.0, 4.0])})
    least = float(prediction.min()) + 0.01
    more = f"decoding.tuning.thresholds=[{least:.3f},{least + 0.1:.3f},0.05]"
    found = tuned(small, run, f"data.val.label=[{hidden}]", more)
    assert found["best"]["synapse_detection"] == 0
    assert "not one annotated object is found" in capsys.readouterr().out


def test_the_minimum_sizes_come_from_the_annotation_and_that_is_said(
    small: Path, run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    label = read_volume(str(small.parent / "syn_val.h5"), "label").voxels[0]
    ids, number = ndimage.label(label > 0, np.ones((3, 3, 3)))
    median = np.median(np.bincount(ids.ravel())[1:])
    speck = ceil(median / 10)
    expected = sorted({0, int(float(f"{speck / 4:.2g}")), int(float(f"{speck:.2g}"))})
    found = tuned(small, run, "decoding.tuning.min_sizes=null")
    assert sorted({row["min_size"] for row in found["mean"]}) == expected
    assert f"median size of the {number} annotated objects, {median:.0f} voxels" in capsys.readouterr().out


@pytest.mark.parametrize("metric", ["synapse_detection", "synapse_f1"])
def test_objects_can_decide(small: Path, run: Path, metric: str) -> None:
    found = tuned(small, run, f"decoding.tuning.metric={metric}")
    assert found["best"][metric] == max(row[metric] for row in found["mean"] if row[metric] is not None)


def test_several_volumes_are_averaged(small: Path, run: Path, tmp_path: Path) -> None:
    image, label = write_pair(tmp_path, "other", shape=(3, 10, 50), seed=9)
    both = f"data.val={{image: [{tmp_path}/im_val.h5,{image}], label: [{tmp_path}/syn_val.h5,{label}]}}"
    found = tuned(small, run, both)
    assert list(found["volumes"]) == ["im_val", "im_other"]
    for mean, *rows in zip(found["mean"], *found["volumes"].values(), strict=True):
        assert mean["jaccard"] == pytest.approx(np.mean([row["jaccard"] for row in rows]))


def test_without_volumes_of_its_own_tuning_takes_those_of_the_validation(small: Path, run: Path) -> None:
    settings = yaml.safe_load(small.read_text())
    settings["train"]["data"], settings["test"]["data"] = settings["data"], settings.pop("data")
    small.write_text(yaml.safe_dump(settings))
    assert list(tuned(small, run)["volumes"]) == ["im_val"]


def test_a_whole_volume_decoder_is_tuned_too_and_finds_the_same(small: Path, run: Path, monkeypatch) -> None:
    from dataclasses import replace

    from connectomics.decoding import DECODERS

    everything = "evaluation.metrics=[cremi_distance,jaccard,dice,precision,recall,synapse_f1]"
    swept = tuned(small, run, everything)
    monkeypatch.setitem(DECODERS, "threshold", replace(DECODERS["threshold"], by_threshold=False))
    plain = tuned(small, run, everything)
    for one, other in zip(swept["mean"], plain["mean"], strict=True):
        for name, value in other.items():
            assert one[name] == (None if value is None else pytest.approx(value, rel=1e-9)), name


def test_a_try_out_writes_nothing(small: Path, run: Path) -> None:
    before = sorted(run.rglob("*"))
    assert run_cli("--config", small, "--mode", "tune", "--checkpoint", last(run), "--fast-dev-run", 1) == 0
    assert sorted(run.rglob("*")) == before


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--mode", "tune"], "--mode tune needs --checkpoint"),
        (["--mode", "tune", "--checkpoint", "CKPT", "data.val.image=[no.h5]"], "no.h5 does not exist"),
        (["--mode", "tune", "--checkpoint", "CKPT", "data.val.label=[]"], "data.val.label names no file"),
        (
            ["--mode", "tune", "--checkpoint", "CKPT", "decoding.tuning.metric=cremi_distanc"],
            "did you mean 'cremi_distance'",
        ),
        (["--mode", "tune", "--checkpoint", "CKPT", "decoding.tuning.metric=polarity_f1"], "it must be one of cremi"),
        (["--mode", "tune", "--checkpoint", "CKPT", "decoding.tuning.thresholds=[0.5,0.1,0.1]"], "first <= last"),
        (["--mode", "test", "--checkpoint", "CKPT", "--tuned", "TYPO"], "did you mean 'threshold'"),
        (["--mode", "test", "--checkpoint", "CKPT", "--tuned", "TYPO"], "typo.yaml: decoding.treshold"),
        (["--mode", "test", "--checkpoint", "CKPT", "--tuned", "no.yaml"], "--tuned no.yaml: no such file"),
    ],
)
def test_what_cannot_be_tuned_is_told_in_a_line(
    small: Path, run: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], says: str
) -> None:
    typo = small.parent / "typo.yaml"
    typo.write_text("decoding: {treshold: 0.3}\n")
    named = {"CKPT": str(last(run)), "TYPO": str(typo)}
    assert run_cli("--config", small, *(named.get(argument, argument) for argument in arguments)) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert says in line
    assert not (run / "results").exists()


def test_where_nothing_has_a_score_there_is_no_best(small: Path, run: Path, capsys) -> None:
    empty = small.parent / "empty.h5"
    write_volume(empty, np.zeros((6, 30, 34), np.uint8), {"resolution": np.array([40.0, 4.0, 4.0])})
    arguments = ["--config", small, "--mode", "tune", "--checkpoint", last(run), f"data.val.label=[{empty}]"]
    assert run_cli(*arguments) == 2
    assert "cremi_distance is undefined with every threshold" in capsys.readouterr().err
    assert json.loads((run / "results" / "tune.json").read_text())["best"] is None
    assert not (run / "results" / "tuned.yaml").exists()


def test_of_equal_settings_the_one_that_changes_least_is_chosen() -> None:
    rows = [{"threshold": t, "min_size": s, "jaccard": 0.5} for s in (40, 0) for t in (0.4, 0.2)]
    assert choose_best(rows, "jaccard") == {"threshold": 0.2, "min_size": 0, "jaccard": 0.5}
    with pytest.raises(UserError, match="undefined"):
        choose_best([{"threshold": 0.2, "min_size": 0, "jaccard": None}], "jaccard")


def test_a_score_that_one_volume_lacks_has_no_mean() -> None:
    rows = {"a": [{"threshold": 0.5, "min_size": 0, "x": 1.0}], "b": [{"threshold": 0.5, "min_size": 0, "x": None}]}
    assert average(rows) == [{"threshold": 0.5, "min_size": 0, "x": None}]


@pytest.mark.parametrize("key", ["save_path", "data", "inference", "default", "test"])
def test_a_tuned_file_decides_how_to_decode_and_nothing_else(small: Path, tmp_path: Path, capsys, key) -> None:
    tuned = tmp_path / "tuned.yaml"
    tuned.write_text(yaml.safe_dump({"decoding": {"threshold": 0.4}, key: {}}), encoding="utf-8")
    assert run_cli("--config", small, "--mode", "test", "--checkpoint", small, "--tuned", tuned) == 2
    assert f"sets {key}; only decoding may stand there" in capsys.readouterr().err
