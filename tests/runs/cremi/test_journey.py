"""From the challenge's files to a submission by the command line: prepare, train, test, submit."""

from pathlib import Path

import cv2
import h5py
import numpy as np
import pytest
import yaml

from connectomics.runs.cli import main as run
from connectomics.runs.cremi.cli import main
from connectomics.volumes.attributes import read_attributes
from connectomics.volumes.labels import CREMI_BACKGROUND
from connectomics.volumes.read import read_volume
from connectomics.volumes.write import write_volume
from tests.runs.reading import only_run
from tests.small_run import SMALL
from tests.tissue import SPACING, Challenge, write_challenge

BOX = ((4, 80, 80), (18, 64, 72))
SHAPE = (26, 224, 240)
CLEFTS = "volumes/labels/clefts"
NARROW = ("--margin", "2", "16", "16")


def cremi(*arguments: object) -> int:
    return main([str(argument) for argument in arguments])


def write(folder: Path, name: str, seed: int, labelled: bool = True) -> Challenge:
    rng = np.random.default_rng(seed)
    return write_challenge(folder / name, rng, SHAPE, BOX, jump=14, drift=60, labelled=labelled)


@pytest.fixture
def prepared(tmp_path: Path) -> Challenge:
    """Return a training volume that was prepared into `tmp_path/corrected`."""
    challenge = write(tmp_path, "sample_A_padded_20160501.hdf", 0)
    assert cremi("prepare", challenge.path, "--out", tmp_path / "corrected", *NARROW) == 0
    return challenge


def submitted(folder: Path, name: str) -> np.ndarray:
    with h5py.File(folder / name) as file:
        return file[CLEFTS][:]


def write_prediction(folder: Path, name: str, corrected: Path, dtype: type = np.float32) -> Path:
    """Write a prediction that is certain of exactly the labels, as test mode would."""
    label = read_volume(str(corrected / f"syn_{name}.h5"))
    path = folder / f"test_im_{name}_prediction.h5"
    scale = 255 if dtype is np.uint8 else 1
    attributes = {"resolution": np.array(label.info.spacing_nm), "offset": np.array(label.info.offset_nm),
                  "image": f"{corrected / f'im_{name}.h5'}:/main", "scale": float(scale)}  # fmt: skip
    write_volume(path, (label.voxels[0] > 0).astype(dtype) * dtype(scale), attributes)
    return path


def test_prepare_train_test_submit(tmp_path: Path) -> None:
    training = write(tmp_path, "sample_A_padded_20160501.hdf", 0)
    testing = write(tmp_path, "sample_A+_padded_20160601.hdf", 1, labelled=False)
    corrected = tmp_path / "corrected"
    box = [str(n) for triple in BOX for n in triple]
    assert cremi("prepare", training.path, "--out", corrected, *NARROW) == 0
    assert cremi("prepare", testing.path, "--out", corrected, *NARROW, "--box", *box) == 0
    assert {path.name for path in corrected.iterdir()} == {
        "im_A.h5", "syn_A.h5", "mask_A.h5", "shifts_A.csv", "alignment_A.png", "im_A+.h5", "shifts_A+.csv",
        "alignment_A+.png"}  # fmt: skip
    files = {kind: [str(corrected / f"{kind}_A.h5")] for kind in ("im", "syn", "mask")}
    volumes = {"image": files["im"], "label": files["syn"], "mask": files["mask"], "resolution": list(SPACING)}
    stages = {"train": volumes, "val": volumes, "test": {"image": [str(corrected / "im_A+.h5")]}}
    (tmp_path / "small.yaml").write_text(yaml.safe_dump({**SMALL, "save_path": str(tmp_path / "runs"), "data": stages}))
    config = ["--config", str(tmp_path / "small.yaml")]
    assert run([*config, "optimization.max_steps=2", "data.dataloader.max_val_patches=2"]) == 0
    one = only_run(tmp_path / "runs")
    last = ["--checkpoint", str(one / "checkpoints" / "last.ckpt")]
    quick = ["inference.window.window_size=[4,64,64]", "inference.test_time_augmentation.enabled=false"]
    assert run([*config, "--mode", "test", *last, *quick, "evaluation.enabled=false"]) == 0
    prediction = one / "results" / "test_im_A+_prediction.h5"
    assert cremi("submit", prediction, "--out", tmp_path / "submission", "--threshold", "0.4", "--min-size", "3") == 0
    assert [path.name for path in (tmp_path / "submission").iterdir()] == ["sample_A+_20160601.hdf"]
    ids = submitted(tmp_path / "submission", "sample_A+_20160601.hdf")
    assert (ids.shape, ids.dtype) == (BOX[1], np.uint64)


@pytest.mark.parametrize("dtype", [np.float32, np.uint8])
def test_labels_that_are_predicted_are_handed_in_where_they_were(
    tmp_path: Path, prepared: Challenge, dtype: type
) -> None:
    prediction = write_prediction(tmp_path, "A", tmp_path / "corrected", dtype)
    assert cremi("submit", prediction, "--out", tmp_path / "out") == 0
    found = submitted(tmp_path / "out", "sample_A_20160501.hdf") != CREMI_BACKGROUND
    truth = prepared.labels < CREMI_BACKGROUND - 2
    bad = [z - BOX[0][0] for z in prepared.bad]
    good = [z for z in range(len(truth)) if z not in bad]
    np.testing.assert_array_equal(found[good], truth[good])
    # A bad section's prediction is its neighbour's: the one before, or after it, that is good and nearest.
    for z, shown in zip(bad, (bad[0] - 1, bad[1] - 1, bad[2] + 1), strict=True):
        np.testing.assert_array_equal(found[z], truth[shown])


def test_small_components_go_and_the_command_line_wins_over_the_tuned_file(tmp_path: Path, prepared: Challenge) -> None:
    prediction = write_prediction(tmp_path, "A", tmp_path / "corrected")
    tuned = tmp_path / "tuned.yaml"
    tuned.write_text("decoding: {threshold: 0.9, min_size: 100000}\n")
    found = []
    for more in ([], ["--min-size", "1"], ["--min-size", "250"]):
        assert cremi("submit", prediction, "--out", tmp_path / "out", "--tuned", tuned, *more) == 0
        found.append(submitted(tmp_path / "out", "sample_A_20160501.hdf"))
    none, every, large = found
    assert (none == CREMI_BACKGROUND).all()
    ids, voxels = np.unique(every[every != CREMI_BACKGROUND], return_counts=True)
    kept = ids[voxels >= 250]  # in all sections, though no section of some has as many
    assert len(ids) > len(kept) > 0
    np.testing.assert_array_equal(large != CREMI_BACKGROUND, np.isin(every, kept))


def test_a_table_from_elsewhere_moves_the_sections_and_no_align_leaves_them(
    tmp_path: Path, prepared: Challenge
) -> None:
    shifts = tmp_path / "corrected" / "shifts_A.csv"
    assert cremi("prepare", prepared.path, "--out", tmp_path / "again", *NARROW, "--shifts", shifts) == 0
    for kind in ("im", "syn", "mask"):
        folders = (tmp_path / "again", tmp_path / "corrected")
        ours, theirs = (read_volume(str(folder / f"{kind}_A.h5")).voxels for folder in folders)
        np.testing.assert_array_equal(ours, theirs)
    assert cremi("prepare", prepared.path, "--out", tmp_path / "still", "--margin", "0", "0", "0", "--no-align") == 0
    image = read_volume(str(tmp_path / "still" / "im_A.h5"))
    with h5py.File(prepared.path) as file:
        z, y, x = (slice(a, a + n) for a, n in zip(*BOX, strict=True))
        np.testing.assert_array_equal(image.voxels[0], file["volumes/raw"][z, y, x])
    assert not read_attributes(tmp_path / "still" / "im_A.h5")["shifts"].any()


def test_what_was_found_is_told_and_drawn(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    challenge = write(tmp_path, "sample_A_padded_20160501.hdf", 0)
    assert cremi("prepare", challenge.path, "--out", tmp_path / "corrected", *NARROW) == 0
    told = capsys.readouterr().out
    for z in challenge.bad:
        assert any(f" {z} " in line and "bad: " in line and "stands in" in line for line in told.splitlines())
    before, after = (float(text.split()[-1]) for text in told.split("correlation of neighbouring sections ")[1]
                     .replace(" as imaged", "").split(" aligned")[0].split(", "))  # fmt: skip
    assert after > before + 0.2
    picture = cv2.imread(str(tmp_path / "corrected" / "alignment_A.png"))
    assert picture.shape[0] > 2 * SHAPE[0]
    red = (picture == (30, 30, 230)).all(-1)
    assert red[:, :8].any(1).sum() == 2 * len(challenge.bad) * 10  # marked above and below; a section is 10 pixels high


def test_a_prediction_of_the_official_file_itself_needs_no_preparation(tmp_path: Path) -> None:
    challenge = write(tmp_path, "sample_A_padded_20160501.hdf", 0)
    probability = np.zeros(SHAPE, np.float32)
    z, y, x = (slice(a, a + n) for a, n in zip(*BOX, strict=True))
    probability[z, y, x] = challenge.labels < CREMI_BACKGROUND - 2
    prediction = tmp_path / "test_sample_prediction.h5"
    attributes = {"resolution": np.array(SPACING), "offset": np.zeros(3), "image": f"{challenge.path}:/volumes/raw"}
    write_volume(prediction, probability, attributes)
    assert cremi("submit", prediction, "--out", tmp_path / "out") == 0
    found = submitted(tmp_path / "out", "sample_A_20160501.hdf") != CREMI_BACKGROUND
    np.testing.assert_array_equal(found, probability[z, y, x] > 0)


def test_images_that_moved_are_found_with_prepared(
    tmp_path: Path, prepared: Challenge, capsys: pytest.CaptureFixture[str]
) -> None:
    prediction = write_prediction(tmp_path, "A", tmp_path / "corrected")
    (tmp_path / "corrected").rename(tmp_path / "moved")
    assert cremi("submit", prediction, "--out", tmp_path / "out") == 2
    assert "does not exist; --prepared DIR says where it lies" in capsys.readouterr().err
    assert cremi("submit", prediction, "--out", tmp_path / "out", "--prepared", tmp_path / "moved") == 0
