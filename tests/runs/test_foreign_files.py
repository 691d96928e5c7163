"""Predictions and volumes of other tools, from the command line: what is guessed is told, what cannot be is refused."""

import json
from pathlib import Path

import h5py
import numpy as np
import pytest
import tifffile
import yaml
import zarr

from connectomics.runs.cli import main
from connectomics.runs.cremi.cli import main as cremi
from connectomics.runs.evaluate import evaluate
from connectomics.volumes.labels import CREMI_BACKGROUND, EXCLUDED, OUTSIDE
from connectomics.volumes.write import write_volume
from tests.small_run import SMALL, write_pair

SPACING = (40.0, 4.0, 4.0)
GRID = {"resolution": np.array(SPACING)}
SHAPE = (5, 20, 24)
TRUTH = np.indices(SHAPE)[2] % 8 < 4
QUANTISED = np.where(TRUTH, 200, 40).astype(np.uint8) + np.random.default_rng(0).integers(0, 55, SHAPE, np.uint8)


@pytest.fixture
def label(tmp_path: Path) -> Path:
    write_volume(tmp_path / "syn.h5", TRUTH.astype(np.uint16) * 7, GRID)
    return tmp_path / "syn.h5"


def jaccard(*arguments: object) -> float:
    path = Path(str(arguments[0])).parent / "scores.json"
    assert evaluate([*map(str, arguments), "--json", str(path)]) == 0
    (scores,) = json.loads(path.read_text())["volumes"].values()
    return scores["jaccard"]


@pytest.mark.parametrize("zarr_format", [2, 3])
@pytest.mark.parametrize("name", ["", "prediction"])
def test_the_scale_is_that_of_the_array_that_was_opened(
    tmp_path: Path, label: Path, zarr_format: int, name: str
) -> None:
    path = str(tmp_path / "b.zarr")
    array = zarr.create_array(path, name=name or None, shape=SHAPE, dtype="u1", zarr_format=zarr_format)  # type: ignore[arg-type]
    array[:] = QUANTISED
    array.attrs.update(scale=255, resolution=list(SPACING))
    assert jaccard(path, label) == 1


def test_of_several_datasets_the_one_that_was_named_has_its_own_scale(tmp_path: Path, label: Path) -> None:
    with h5py.File(tmp_path / "b.h5", "w") as file:
        file["main"], file["other"] = QUANTISED // 2, QUANTISED
        file["main"].attrs["scale"], file["other"].attrs["scale"] = 127, 255
        for dataset in file.values():
            dataset.attrs["resolution"] = SPACING
    assert jaccard(f"{tmp_path / 'b.h5'}:/other", label) == 1


def test_a_tiff_of_probabilities_in_whole_numbers_takes_scale(
    tmp_path: Path, label: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tifffile.imwrite(tmp_path / "p.tif", QUANTISED)
    assert jaccard(tmp_path / "p.tif", label) < 0.6
    said = capsys.readouterr().out
    assert "taken as ids; if these are probabilities, give --scale 255" in said
    assert jaccard(tmp_path / "p.tif", label, "--scale", 255) == 1
    assert "taken as ids" not in capsys.readouterr().out
    tifffile.imwrite(tmp_path / "f.tif", QUANTISED.astype(np.float32))
    assert evaluate([str(tmp_path / "f.tif"), str(label)]) == 2
    assert "where a 1 is stored as 255, give --scale 255" in capsys.readouterr().err
    assert jaccard(tmp_path / "f.tif", label, "--scale", 255) == 1


def test_a_scale_that_contradicts_the_file_is_refused(
    tmp_path: Path, label: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_volume(tmp_path / "p.h5", QUANTISED, GRID | {"scale": 255})
    assert jaccard(tmp_path / "p.h5", label, "--scale", 255) == 1
    assert evaluate([str(tmp_path / "p.h5"), str(label), "--scale", "100"]) == 2
    assert "states that a 1 is stored as 255, --scale says 100" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        evaluate([str(tmp_path / "p.h5"), str(label), "--scale", "0"])


def test_what_is_guessed_is_told_once_a_file(tmp_path: Path, label: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with h5py.File(tmp_path / "p.h5", "w") as file:
        file["exported"] = TRUTH.astype(np.uint8)
        file["exported"].attrs["resolution"] = SPACING
    (tmp_path / "copy").mkdir()
    arguments = [tmp_path / "p.h5", label, tmp_path / "p.h5", label]
    assert evaluate([*map(str, arguments[:2])]) == 0
    said = capsys.readouterr().out
    assert said.count("exported, the only dataset, is taken as label") == 1
    assert said.count("uint8 from 0 to 1 without an attribute `scale`, taken as a mask") == 1


@pytest.mark.parametrize("mark", [EXCLUDED, OUTSIDE])
def test_marks_of_what_nobody_annotated_are_ids_in_a_prediction(tmp_path: Path, mark: int) -> None:
    def write(name: str, ids: np.ndarray) -> Path:
        with h5py.File(tmp_path / name, "w") as file:
            file["volumes/labels/clefts"] = ids
            file["volumes/labels/clefts"].attrs["resolution"] = SPACING
        return tmp_path / name

    found = TRUTH.copy()
    found[0, 0] = True
    truth = np.where(TRUTH, np.uint64(4), np.uint64(CREMI_BACKGROUND))
    predicted = np.where(found, np.uint64(mark), np.uint64(CREMI_BACKGROUND))
    missing = (found & ~TRUTH).sum()
    assert jaccard(write("p.hdf", predicted), write("t.hdf", truth)) == pytest.approx(
        TRUTH.sum() / (TRUTH.sum() + missing)
    )
    marked = truth.copy()
    marked[0, 0] = mark
    assert jaccard(write("p.hdf", predicted), write("t.hdf", marked)) == 1


@pytest.mark.parametrize("value", [np.nan, np.inf, 7.0])
@pytest.mark.parametrize("by", ["mask", "truth"])
def test_what_lies_in_voxels_that_do_not_count_is_not_looked_at(
    tmp_path: Path, label: Path, value: float, by: str
) -> None:
    probability = TRUTH.astype(np.float32)
    probability[:, 3] = value
    counts = np.indices(SHAPE)[1] != 3
    write_volume(tmp_path / "p.h5", probability, GRID)
    if by == "mask":
        write_volume(tmp_path / "mask.h5", counts.astype(np.uint8), GRID)
        assert jaccard(tmp_path / "p.h5", label, "--mask", tmp_path / "mask.h5") == 1
        return
    with h5py.File(tmp_path / "t.hdf", "w") as file:
        ids = np.where(TRUTH, np.uint64(4), np.uint64(CREMI_BACKGROUND))
        file["volumes/labels/clefts"] = np.where(counts, ids, np.uint64(EXCLUDED))
        file["volumes/labels/clefts"].attrs["resolution"] = SPACING
    assert jaccard(tmp_path / "p.h5", tmp_path / "t.hdf") == 1


def test_micrometres_in_both_files_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("p.h5", "t.h5"):
        write_volume(tmp_path / name, TRUTH.astype(np.uint8), {"resolution": np.array((0.05, 0.0046, 0.0046))})
    assert evaluate([str(tmp_path / "p.h5"), str(tmp_path / "t.h5")]) == 2
    assert "these look like um" in capsys.readouterr().err
    for name in ("p.h5", "t.h5"):
        write_volume(tmp_path / name, TRUTH.astype(np.uint8), {})
    arguments = [str(tmp_path / "p.h5"), str(tmp_path / "t.h5"), "--resolution", "0.05", "0.0046", "0.0046"]
    assert evaluate(arguments) == 2
    assert "--resolution gives a voxel size of (0.05, 0.0046, 0.0046) nm" in capsys.readouterr().err


def test_paths_in_the_home_folder(
    tmp_path: Path, label: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    assert evaluate(["~/syn.h5", "~/syn.h5", "--json", "~/scores/s.json"]) == 0
    assert (tmp_path / "scores" / "s.json").is_file()
    settings = {**SMALL, "save_path": "~/runs"}
    (tmp_path / "small.yaml").write_text(yaml.safe_dump(settings))
    assert main(["--config", "~/small.yaml", "--print-config"]) == 0
    assert f"save_path: {tmp_path / 'runs'}" in capsys.readouterr().out
    assert main(["--config", "~/small.yaml", "--print-config", "save_path=~/other"]) == 0
    assert f"save_path: {tmp_path / 'other'}" in capsys.readouterr().out
    image = "data.train={image: [~/a.h5, ~/b.h5], label: [], mask: [], resolution: null, crop: null}"
    assert main(["--config", "~/small.yaml", "--print-config", image, "data.val.image=[~/c.h5]"]) == 0
    said = capsys.readouterr().out
    assert all(str(tmp_path / name) in said for name in ("a.h5", "b.h5", "c.h5"))
    assert main(["--config", "~/none.yaml"]) == 2
    assert cremi(["prepare", "~/syn.h5", "--out", "~/prepared", "--no-align", "--margin", "0", "0", "0"]) == 0
    assert (tmp_path / "prepared" / "im_syn.h5").is_file()
    assert not (tmp_path / "~").exists()


def test_a_mode_tells_what_its_readers_guessed(small: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = small.parent
    with h5py.File(folder / "im_train.h5", "a") as file:
        file.move("main", "exported")
    assert main(["--config", str(small), "--fast-dev-run", "1"]) == 0
    told = f"{folder / 'im_train.h5'}:/exported: exported, the only dataset, is taken as image"
    assert capsys.readouterr().out.count(told) == 1


def test_an_image_that_is_nan_where_the_mask_is_0_is_trained_on_and_predicted(
    small: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = small.parent
    write_pair(folder, "nan", seed=5)
    with h5py.File(folder / "im_nan.h5", "a") as file:
        voxels, stated = file["main"][()].astype(np.float32), dict(file["main"].attrs)
        voxels[:, :6] = np.nan
    write_volume(folder / "im_nan.h5", voxels, stated)
    write_volume(folder / "mask_nan.h5", np.isfinite(voxels).astype(np.uint8), stated)
    volumes = {name: [str(folder / f"{kind}_nan.h5")] for name, kind in
               (("image", "im"), ("label", "syn"), ("mask", "mask"))}  # fmt: skip
    changed = [f"data.{stage}.{name}={files}" for stage in ("train", "val") for name, files in volumes.items()]
    assert main(["--config", str(small), *changed]) == 0, capsys.readouterr().err
    (run,) = (folder / "runs").iterdir()
    tested = [f"data.test.{name}={files}" for name, files in volumes.items()]
    last = ["--mode", "test", "--checkpoint", str(run / "checkpoints" / "last.ckpt")]
    assert main(["--config", str(small), *last, *tested]) == 0, capsys.readouterr().err
    with h5py.File(run / "results" / "test_im_nan_prediction.h5") as file:
        assert np.isfinite(file["main"][()]).all()
    assert main(["--config", str(small), *last, *tested[:2], "data.test.mask=[]"]) == 2
    assert "every grey value must be a finite number" in capsys.readouterr().err
