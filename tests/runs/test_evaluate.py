"""`scripts/evaluate.py`: the same scores for any tool's prediction, and a clear line for what cannot be scored."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
import tifffile

from connectomics.metrics import LabelPair, score_volume
from connectomics.runs.cli import main
from connectomics.runs.evaluate import USUAL_METRICS, evaluate
from connectomics.volumes.labels import CREMI_BACKGROUND, EXCLUDED
from connectomics.volumes.write import write_volume
from tests.metrics.test_cremi_distance import CASES, build_ids
from tests.runs.reading import only_run

ROOT = Path(__file__).parents[2]
SPACING = (40.0, 4.0, 4.0)
GRID = {"resolution": np.array(SPACING)}
SHAPE = (5, 20, 24)


@pytest.fixture
def probability() -> np.ndarray:
    rng = np.random.default_rng(0)
    return np.clip(0.6 * rng.random(SHAPE) + 0.35 * (np.indices(SHAPE)[2] % 8 < 4), 0, 1).astype(np.float32)


@pytest.fixture
def truth() -> np.ndarray:
    return (np.indices(SHAPE)[2] % 8 < 4) & (np.random.default_rng(1).random(SHAPE) < 0.9)


@pytest.fixture
def label(tmp_path: Path, truth: np.ndarray) -> Path:
    path = tmp_path / "syn.h5"
    write_volume(path, truth.astype(np.uint16) * 7, GRID)
    return path


def scored(*arguments: object, status: int = 0) -> dict:
    path = Path(str(arguments[0])).parent / "scores.json"
    assert evaluate([*map(str, arguments), "--json", str(path)]) == status
    return json.loads(path.read_text())


def expected(predicted: np.ndarray, truth: np.ndarray, annotated: np.ndarray | None = None) -> dict:
    return score_volume(LabelPair(predicted, truth, SPACING, annotated), USUAL_METRICS)


def write_cremi(path: Path, ids: np.ndarray, offset: tuple[float, ...] = (0, 0, 0)) -> Path:
    with h5py.File(path, "w") as file:
        dataset = file.create_dataset("volumes/labels/clefts", data=ids)
        dataset.attrs["resolution"], dataset.attrs["offset"] = SPACING, offset
    return path


@pytest.mark.parametrize("suffix", [".h5", ".zarr", ".tif"])
@pytest.mark.parametrize("threshold", [None, 0.3])
def test_probabilities_are_scored_as_test_mode_scores_them(
    tmp_path: Path, probability: np.ndarray, truth: np.ndarray, label: Path, suffix: str, threshold: float | None
) -> None:
    path = tmp_path / f"theirs{suffix}"
    if suffix == ".tif":
        tifffile.imwrite(path, probability)
    else:
        write_volume(path, probability, GRID)
    found = scored(path, label, *([] if threshold is None else ["--threshold", threshold]))
    assert set(found) == {"volumes", "mean", "stamp"}
    assert found["volumes"] == {"theirs": expected(probability >= np.float32(threshold or 0.5), truth)}
    assert found["mean"]["jaccard"] == found["volumes"]["theirs"]["jaccard"]


def test_a_sum_of_weights_that_was_rounded_up_is_still_a_probability(tmp_path: Path, probability, truth, label) -> None:
    certain = np.where(probability > 0.5, np.nextafter(np.float32(1), np.float32(2)), np.float32(-1e-8))
    write_volume(tmp_path / "a.h5", certain.astype(np.float32), GRID)
    assert scored(tmp_path / "a.h5", label)["volumes"]["a"] == expected(probability > 0.5, truth)


def test_probabilities_in_whole_numbers_are_scaled(tmp_path: Path, probability, truth, label) -> None:
    stored = np.rint(probability * 255).astype(np.uint8)
    write_volume(tmp_path / "a.h5", stored, GRID | {"scale": 255.0})
    found = scored(tmp_path / "a.h5", label, "--threshold", 0.4)
    assert found["volumes"]["a"] == expected(stored.astype(np.float32) / np.float32(255) >= np.float32(0.4), truth)


@pytest.mark.parametrize("dtype", [np.uint8, np.int32, np.uint64])
def test_in_a_mask_or_ids_all_but_the_background_is_predicted(tmp_path: Path, probability, truth, label, dtype) -> None:
    mask = probability > 0.5
    write_volume(tmp_path / "a.h5", mask.astype(dtype) * dtype(3), GRID)
    assert scored(tmp_path / "a.h5", label)["volumes"]["a"] == expected(mask, truth)


def test_the_layout_of_the_challenge_is_read_on_both_sides(tmp_path: Path, probability, truth) -> None:
    mask, excluded = probability > 0.5, np.indices(SHAPE)[1] < 5
    submitted = write_cremi(tmp_path / "sub.hdf", np.where(mask, np.uint64(0), np.uint64(CREMI_BACKGROUND)))
    ids = np.where(truth, np.uint64(4), np.uint64(CREMI_BACKGROUND))
    annotated = write_cremi(tmp_path / "sample.hdf", np.where(excluded, np.uint64(EXCLUDED), ids))
    assert scored(submitted, annotated)["volumes"]["sub"] == expected(mask, truth & ~excluded, ~excluded)


def write_sides(path: Path, truth: np.ndarray) -> None:
    """Write a label of one synapse, whose sides take turns along y."""
    write_volume(path, np.where(truth, 1 + np.indices(SHAPE)[1] % 2, 0).astype(np.uint16), GRID)


def test_ids_with_two_sides_are_compared_by_side(tmp_path: Path, truth) -> None:
    write_sides(tmp_path / "a.h5", truth)
    found = scored(tmp_path / "a.h5", tmp_path / "a.h5", "--metrics", "polarity_f1")["volumes"]["a"]["polarity_f1"]
    assert (found["f1"], found["right_way_round"], found["pre_iou"], found["post_iou"]) == (1, 1, 1, 1)


@pytest.mark.parametrize("which", ["probabilities", "mask", "clefts"])
@pytest.mark.parametrize("as_label", [False, True])
def test_what_has_no_sides_is_not_compared_by_side(
    tmp_path: Path, probability, truth, which: str, as_label: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    write_sides(tmp_path / "sides.h5", truth)
    if which == "clefts":
        other = write_cremi(tmp_path / "other.hdf", np.where(truth, np.uint64(4), np.uint64(CREMI_BACKGROUND)))
    else:
        other = tmp_path / "other.h5"
        write_volume(other, probability if which == "probabilities" else truth * np.uint8(255), GRID)
    files = [tmp_path / "sides.h5", other][:: 1 if as_label else -1]
    assert evaluate([*map(str, files), "--metrics", "polarity_f1"]) == 2
    told = capsys.readouterr().err
    assert "other." in told
    assert "sides.h5" not in told
    assert (
        "a probability map is not a label" if as_label and which == "probabilities" else "holds clefts, not"
    ) in told


@pytest.mark.parametrize("case", CASES, ids=[case["name"] for case in CASES])
def test_the_contracts_cases_come_out_of_the_command_line(tmp_path: Path, case: dict) -> None:
    files = []
    for role in ("test", "truth"):
        files.append(tmp_path / f"{role}.hdf")
        with h5py.File(files[-1], "w") as file:
            dataset = file.create_dataset("volumes/labels/clefts", data=build_ids(case[role], case["shape"]))
            dataset.attrs["resolution"] = case[f"{role}_resolution"]
    scores = scored(*files)["volumes"]["test"]["cremi_distance"]
    assert case["threshold_nm"] == 200
    for key, value in case["expect"].items():
        assert scores["score" if key == "cremi_score" else key] == pytest.approx(value, abs=1e-9, rel=0), key


def test_voxels_outside_the_mask_do_not_count(tmp_path: Path, probability, truth, label) -> None:
    annotated = np.indices(SHAPE)[1] > 6
    write_volume(tmp_path / "a.h5", probability, GRID)
    write_volume(tmp_path / "mask.h5", annotated.astype(np.uint8), GRID)
    found = scored(tmp_path / "a.h5", label, "--mask", tmp_path / "mask.h5")
    assert found["volumes"]["a"] == expected(probability >= 0.5, truth, annotated)


def test_a_prediction_of_a_part_is_scored_where_it_lies(tmp_path: Path, probability, truth, label) -> None:
    write_volume(tmp_path / "a.h5", probability[2:], GRID | {"offset": np.array([80.0, 0, 0])})
    assert scored(tmp_path / "a.h5", label)["volumes"]["a"] == expected(probability[2:] >= 0.5, truth[2:])


def test_the_results_of_test_mode_get_its_scores_again(small: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--config", str(small), "optimization.max_steps=3"]) == 0
    run = only_run(small.parent / "runs")
    last = str(run / "checkpoints" / "last.ckpt")
    assert main(["--config", str(small), "--mode", "test", "--checkpoint", last]) == 0
    metrics = json.loads((run / "results" / "metrics.json").read_text())
    found = scored(run / "results" / "test_im_test_prediction.h5", small.parent / "syn_test.h5")
    for name, value in metrics["volumes"]["im_test"].items():
        assert found["volumes"]["test_im_test_prediction"][name] == value


def nothing(folder: Path) -> tuple[np.ndarray, dict]:
    return np.zeros(SHAPE, np.float32), GRID


def other_size(folder: Path) -> tuple[np.ndarray, dict]:
    return np.zeros(SHAPE, np.uint8), {"resolution": np.array([40.0, 8.0, 8.0])}


def other_shape(folder: Path) -> tuple[np.ndarray, dict]:
    return np.zeros((5, 20, 25), np.uint8), GRID


def elsewhere(folder: Path) -> tuple[np.ndarray, dict]:
    return np.zeros(SHAPE, np.uint8), GRID | {"offset": np.array([4000.0, 0, 0])}


def logits(folder: Path) -> tuple[np.ndarray, dict]:
    return np.full(SHAPE, -3, np.float32), GRID


def beyond_rounding(folder: Path) -> tuple[np.ndarray, dict]:
    return np.full(SHAPE, 1.001, np.float32), GRID


def with_nan(folder: Path) -> tuple[np.ndarray, dict]:
    return np.full(SHAPE, np.nan, np.float32), GRID


def several(folder: Path) -> tuple[np.ndarray, dict]:
    return np.zeros((3, *SHAPE), np.float32), GRID


def negative(folder: Path) -> tuple[np.ndarray, dict]:
    return np.full(SHAPE, -2, np.int64), GRID


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (other_size, "voxels of (40.0, 8.0, 8.0) nm"),
        (other_shape, "has shape (5, 20, 24), its prediction"),
        (elsewhere, "voxels away from its prediction"),
        (logits, "reaches from -3 to -3; probabilities lie between 0 and 1"),
        (beyond_rounding, "reaches from 1.001 to 1.001; probabilities lie between 0 and 1"),
        (with_nan, "probabilities lie between 0 and 1"),
        (several, "has 3 channels; name one with --channel 0 to 2"),
        (negative, "no id is negative"),
    ],
)
def test_what_cannot_be_scored_is_told_and_the_others_get_their_scores(
    tmp_path: Path, probability: np.ndarray, truth: np.ndarray, label: Path, capsys: pytest.CaptureFixture[str],
    make: Callable[[Path], tuple[np.ndarray, dict]], says: str,
) -> None:  # fmt: skip
    write_volume(tmp_path / "good.h5", probability, GRID)
    write_volume(tmp_path / "bad.h5", *make(tmp_path))
    found = scored(tmp_path / "bad.h5", label, tmp_path / "good.h5", label, status=2)
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: bad: ")
    assert says in line
    assert found["volumes"] == {"good": expected(probability >= 0.5, truth)}
    assert found["mean"]["jaccard"] is None
    assert found["mean"]["jaccard_undefined"] == "no score for bad"


def test_where_nothing_can_be_scored_there_is_neither_a_table_nor_a_file(
    tmp_path: Path, label: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert evaluate([str(tmp_path / "none.h5"), str(label), "--json", str(tmp_path / "scores.json")]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("error: none: ")
    assert not (tmp_path / "scores.json").exists()


def test_a_challenge_label_that_was_cast_to_int64_is_refused(tmp_path: Path, probability, truth, capsys) -> None:
    ids = np.where(truth, np.uint64(4), np.uint64(CREMI_BACKGROUND)).astype(np.int64)
    write_volume(tmp_path / "a.h5", probability, GRID)
    assert evaluate([str(tmp_path / "a.h5"), str(write_cremi(tmp_path / "sample.hdf", ids))]) == 2
    assert "the label is int64; ids of a CREMI challenge file are uint64" in capsys.readouterr().err


def test_empty_masks_and_an_annotation_of_nothing_are_undefined_with_the_reason(tmp_path: Path, truth, label) -> None:
    write_volume(tmp_path / "empty.h5", np.zeros(SHAPE, np.float32), GRID)
    scores = scored(tmp_path / "empty.h5", label)["volumes"]["empty"]
    assert scores["cremi_distance"] is None
    assert scores["cremi_distance_undefined"] == "no voxel is predicted"
    assert scores["recall"] == 0
    invalid = write_cremi(tmp_path / "sample.hdf", np.full(SHAPE, EXCLUDED, np.uint64))
    write_volume(tmp_path / "full.h5", np.ones(SHAPE, np.float32), GRID)
    scores = scored(tmp_path / "full.h5", invalid)["volumes"]["full"]
    assert scores["cremi_distance_undefined"].endswith("every voxel is excluded")
    assert {scores[name] for name in USUAL_METRICS} == {None}


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["a.h5"], "files come in pairs"),
        (["a.h5", "b.h5", "--mask", "m.h5", "n.h5"], "it takes one for each"),
        (["a.h5", "b.h5", "--threshold", "1.5"], "must be between 0 and 1"),
        (["a.h5", "b.h5", "--min-iou", "0"], "must be more than 0"),
    ],
)
def test_a_wrong_command_line_is_told(arguments: list[str], says: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        evaluate(arguments)
    assert stopped.value.code == 2
    assert says in capsys.readouterr().err


def test_unknown_metrics_missing_files_and_unstated_voxel_sizes_are_told(tmp_path: Path, probability, label, capsys):
    write_volume(tmp_path / "a.h5", probability, GRID)
    for arguments, says in (
        ([tmp_path / "a.h5", label, "--metrics", "jacard"], "did you mean 'jaccard'"),
        ([tmp_path / "b.h5", label], "does not exist; did you mean 'a.h5'"),
        ([tmp_path / "a.h5", label, "--resolution", 50, 4, 4], "nm; they must be the same"),
    ):
        assert evaluate([*map(str, arguments)]) == 2
        assert says in capsys.readouterr().err
    tifffile.imwrite(tmp_path / "p.tif", probability)
    tifffile.imwrite(tmp_path / "l.tif", (probability > 0.5).astype(np.uint8))
    assert evaluate([str(tmp_path / "p.tif"), str(tmp_path / "l.tif")]) == 2
    assert "give --resolution Z Y X" in capsys.readouterr().err
    assert evaluate([str(tmp_path / "p.tif"), str(tmp_path / "l.tif"), "--resolution", "40", "4", "4"]) == 0


def test_the_script_needs_no_torch(tmp_path: Path, probability: np.ndarray, label: Path) -> None:
    write_volume(tmp_path / "a.h5", probability, GRID)
    code = "import sys; from connectomics.runs.evaluate import evaluate; status = evaluate(sys.argv[1:])\n"
    code += "sys.exit(status or any(name in sys.modules for name in ('torch', 'pytorch_lightning')))"
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "a.h5"), str(label)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert "CREMI" in done.stdout
