"""`import connectomics`: arrays in and out, with the numbers of the command line."""

import csv
import json
from pathlib import Path

import h5py
import numpy as np
import pytest

import connectomics
from connectomics.config import load_configs
from connectomics.errors import CheckpointError, ConfigError, UserError, VolumeError
from connectomics.runs.cli import main
from tests.small_run import write_settings

NM = (40.0, 4.0, 4.0)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Train through Python, test from the command line, and return the folder with settings, volumes and runs."""
    folder = tmp_path_factory.mktemp("python")
    settings = write_settings(folder)
    run = connectomics.train(settings, "optimization.max_steps=4")
    assert run.parent == folder / "runs"
    assert main(["--config", str(settings), "--mode", "test", "--checkpoint", str(run), "decoding.threshold=0.4"]) == 0
    return folder


def run_of(folder: Path) -> Path:
    return next((folder / "runs").iterdir())


def read(path: Path) -> np.ndarray:
    with h5py.File(path) as file:
        return np.asarray(file["main"])


def result(folder: Path, what: str) -> Path:
    return run_of(folder) / "results" / f"test_im_test_{what}"


def test_the_run_holds_the_settings_of_every_mode(folder: Path) -> None:
    kept = load_configs(run_of(folder) / "config.yaml")
    assert kept["test"].data.test.image == [str(folder / "im_test.h5")]
    assert {config.optimization.max_steps for config in kept.values()} == {4}


def test_a_prediction_is_that_of_the_command_line(folder: Path) -> None:
    network = connectomics.load(run_of(folder))
    found = network.predict(read(folder / "im_test.h5"), NM)
    np.testing.assert_array_equal(found, read(result(folder, "prediction.h5")))


def test_what_is_found_is_what_the_table_lists(folder: Path) -> None:
    network = connectomics.load(run_of(folder), "decoding.threshold=0.4")
    synapses = network.find(read(result(folder, "prediction.h5")), NM)
    np.testing.assert_array_equal(synapses.instances > 0, read(result(folder, "mask.h5")) > 0)
    with result(folder, "synapses.csv").open(newline="") as file:
        listed = list(csv.DictReader(file))
    assert [(str(row["id"]), str(row["voxels"])) for row in synapses.table] == [(r["id"], r["voxels"]) for r in listed]
    sizes = np.bincount(synapses.instances.ravel())
    assert all(sizes[row["id"]] == row["voxels"] for row in synapses.table)


def test_a_threshold_of_its_own_wins(folder: Path) -> None:
    network, probability = connectomics.load(run_of(folder)), read(result(folder, "prediction.h5"))
    for threshold in (0.3, 0.45, 0.6):
        found = network.find(probability, NM, threshold=threshold)
        np.testing.assert_array_equal(found.instances > 0, probability >= threshold)
    assert network.find(probability, NM, threshold=0.3, min_size=10**6).table == []


def test_scores_are_those_of_the_command_line(folder: Path) -> None:
    probability, label = read(result(folder, "prediction.h5")), read(folder / "syn_test.h5")
    scores = connectomics.evaluate(probability, label, NM, threshold=0.4, metrics=["cremi_distance", "jaccard"])
    written = json.loads(result(folder, "metrics.json").read_text())["volumes"]["im_test"]
    assert scores == {name: written[name] for name in scores}
    assert connectomics.evaluate(label > 0, label, NM)["jaccard"] == 1.0
    half = np.zeros(label.shape, bool)
    half[:3] = True
    counted = connectomics.evaluate(probability, label, NM, annotated=half, metrics=["jaccard"])
    assert counted == connectomics.evaluate(probability[:3], label[:3], NM, metrics=["jaccard"])


def test_slips_are_told(folder: Path) -> None:
    image = read(folder / "im_test.h5")
    with pytest.raises(CheckpointError, match="no such file"):
        connectomics.load(folder / "nowhere.ckpt")
    with pytest.raises(ConfigError, match="did you mean 'inference'"):
        connectomics.load(run_of(folder), "infrence.preset=fast")
    network = connectomics.load(run_of(folder))
    with pytest.raises(VolumeError, match="learnt at 40 x 4 x 4 nm"):
        network.predict(image, (40, 8, 8))
    with pytest.raises(UserError, match="takes 1"):
        network.predict(np.zeros((2, 6, 30, 34), np.uint8), NM)
    with pytest.raises(UserError, match="three positive numbers"):
        network.predict(image, (4, 4))
    with pytest.raises(ConfigError, match="did you mean 'jaccard'"):
        connectomics.evaluate(image > 0, image > 0, NM, metrics=["jacard"])
    probability = read(result(folder, "prediction.h5"))
    with pytest.raises(UserError, match="probability is uint8; probabilities are floating point"):
        network.find((255 * probability).astype(np.uint8), NM)
    with pytest.raises(UserError, match="prediction runs from"):
        connectomics.evaluate(255 * probability, image > 0, NM)
    with pytest.raises(ConfigError, match="threshold is 67"):
        network.find(probability, NM, threshold=67)
    with pytest.raises(ConfigError, match="three positive numbers"):
        network.find(probability, (40, float("nan"), 4))
    with pytest.raises(ConfigError, match="three positive numbers"):
        network.predict(image, 40)  # type: ignore[arg-type]
    with pytest.raises(UserError, match="label holds -1; no id is negative"):
        connectomics.evaluate(probability, np.full(image.shape, -1), NM)
    with pytest.raises(UserError, match="not list"):
        network.predict([1, 2], NM)  # type: ignore[arg-type]
    signed = connectomics.evaluate(probability, read(folder / "syn_test.h5").astype(np.int64), NM, metrics="jaccard")
    assert signed == connectomics.evaluate(probability, read(folder / "syn_test.h5"), NM, metrics=["jaccard"])
    with pytest.raises(AttributeError, match="no attribute 'lode'"):
        connectomics.lode  # noqa: B018
