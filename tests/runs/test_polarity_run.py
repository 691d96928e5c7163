"""Synapses with two sides on the same journey as clefts: train, test, and everything that is written."""

import csv
import json
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import yaml

from connectomics.runs.cli import main
from connectomics.volumes.write import write_volume
from tests.runs.reading import only_run, tags
from tests.small_run import SMALL

SHAPE = (6, 30, 34)

INDEPENDENT = [
    "data.target.type=polarity",
    "model.loss.losses=[{function: WeightedBCEWithLogitsLoss, kwargs: {pos_weight: 3}}, "
    "{function: DiceLoss, weight: 0.5, kwargs: {batch: true}}, {function: NonOverlapLoss, weight: 4}]",
    'inference.model.channel_activations=[{channels: "0:3", activation: sigmoid}]',
    "decoding.name=polarity2instance",
]
EXCLUSIVE = [
    "data.target={type: polarity, kwargs: {exclusive: true}}",
    "model.loss.losses=[{function: CrossEntropyLoss, kwargs: {class_weights: [1, 10, 10]}}]",
    'inference.model.channel_activations=[{channels: "0:3", activation: softmax}]',
    "decoding.name=polarity2instance_exclusive",
]
COMMON = [
    "model.out_channels=3",
    "evaluation.metrics=[polarity_f1, jaccard]",
    "decoding.min_size=4",
    "decoding.dilation=[1,1,1]",
]


def write_sides(folder: Path, name: str, seed: int, dtype: type = np.uint64) -> tuple[str, str]:
    """Write an image and a label of synapses that are dark on the pre-synaptic side and bright on the other one."""
    rng = np.random.default_rng(seed)
    label = np.zeros(SHAPE, np.uint64)
    for k, (row, column) in enumerate(np.argwhere(rng.random((3, 4)) < 0.6), 1):
        z, y, x = 2 * (k % 3), 10 * row + 2, 8 * column + 1
        label[z : z + 2, y : y + 5, x : x + 2], label[z : z + 2, y : y + 5, x + 2 : x + 4] = 2 * k - 1, 2 * k
    if dtype == np.uint8:  # classes
        label = np.where(label > 0, 2 - label % np.uint64(2), label)
    image = (rng.normal(130, 8, SHAPE) + np.where(label == 0, 0, np.where(label % 2 == 1, -90, 90))).clip(0, 255)
    attributes = {"resolution": np.array([30.0, 8.0, 8.0])}
    write_volume(folder / f"im_{name}.h5", image.astype(np.uint8), attributes)
    write_volume(folder / f"syn_{name}.h5", label.astype(dtype), attributes)
    return str(folder / f"im_{name}.h5"), str(folder / f"syn_{name}.h5")


@pytest.fixture
def polar(tmp_path: Path) -> Path:
    """Return a file of settings with its volumes of sided synapses beside it; runs go to `tmp_path/runs`."""
    pairs = {name: write_sides(tmp_path, name, seed) for seed, name in enumerate(("train", "val", "test"))}
    stages = {name: {"image": [image], "label": [label]} for name, (image, label) in pairs.items()}
    settings: dict[str, Any] = {**SMALL, "save_path": str(tmp_path / "runs"), "data": stages}
    path = tmp_path / "polar.yaml"
    path.write_text(yaml.safe_dump(settings), encoding="utf-8")
    return path


def trained(polar: Path, *overrides: str) -> Path:
    assert main(["--config", str(polar), *COMMON, *overrides]) == 0
    return only_run(polar.parent / "runs")


def scores_of(polar: Path, run: Path, *overrides: str) -> dict[str, Any]:
    last = run / "checkpoints" / "last.ckpt"
    assert main(["--config", str(polar), "--mode", "test", "--checkpoint", str(last), *COMMON, *overrides]) == 0
    return json.loads((run / "results" / "metrics.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("task", [INDEPENDENT, EXCLUSIVE], ids=["independent", "exclusive"])
def test_a_run_names_its_channels_and_leaves_ids_and_scores(polar: Path, task: list[str]) -> None:
    run = trained(polar, *task, "optimization.max_steps=90", "optimization.n_steps_per_epoch=30",
                  "optimization.optimizer.lr=2e-2", "model.rsunet.filters=[8,12]")  # fmt: skip
    channels = ["pre", "post", "union"] if task is INDEPENDENT else ["background", "pre", "post"]
    shown = {f"val_jaccard_{name}" for name in channels if name != "background"}
    assert shown | {"val_jaccard"} <= set(tags(run)["scalars"])
    assert "val_jaccard_background" not in tags(run)["scalars"]
    scores = scores_of(polar, run, *task, "model.rsunet.filters=[8,12]")
    with h5py.File(run / "results" / "test_im_test_prediction.h5") as file:
        probability = file["main"][:]
        assert file["main"].attrs["channels"] == (
            "pre, post, union" if task is INDEPENDENT else "background, pre, post"
        )
    with h5py.File(run / "results" / "test_im_test_mask.h5") as file:
        ids = file["main"][:]
        assert "2k" in file["main"].attrs["content"]
    assert probability.shape == (3, *SHAPE)
    if task is EXCLUSIVE:
        np.testing.assert_allclose(probability.sum(axis=0), 1, atol=1e-5)
    assert ids.dtype == np.uint64
    assert ids.shape == SHAPE
    rows = list(csv.DictReader((run / "results" / "test_im_test_synapses.csv").read_text().splitlines()))
    assert [int(row["id"]) for row in rows] == np.unique((ids[ids > 0] + np.uint64(1)) // np.uint64(2)).tolist()
    ways = np.array([[float(row[f"direction_{axis}"]) for axis in "zyx"] for row in rows if row["sides"] == "both"])
    np.testing.assert_allclose(np.linalg.norm(ways, axis=1), 1, atol=2e-4)
    assert ways.mean(axis=0)[2] > 0  # post lies at larger x
    found = scores["volumes"]["im_test"]["polarity_f1"]
    counts = scores["volumes"]["im_test"]["synapse_detection"]
    assert sum(row["outcome"] == "invented" for row in rows) == counts["invented"]
    assert sum(row["outcome"] in ("found", "poorly outlined") for row in rows) == (
        counts["found"] + counts["poorly_outlined"])  # fmt: skip
    with h5py.File(run / "results" / "test_im_test_instances.h5") as file:
        instances = file["main"][:]
    np.testing.assert_array_equal(instances, (ids + np.uint64(1)) // np.uint64(2))
    assert found["f1"] > 0.5
    assert found["right_way_round"] > 0.8
    assert scores["mean"]["polarity_f1"] == found


def test_a_label_of_classes_is_scored_as_the_synapses_that_it_shows(polar: Path) -> None:
    run = trained(polar, *INDEPENDENT, "optimization.max_steps=1")
    whole = scores_of(polar, run, *INDEPENDENT, "decoding.threshold=0.01")
    _, label = write_sides(polar.parent, "test", 2, np.uint8)
    classes = scores_of(polar, run, *INDEPENDENT, "decoding.threshold=0.01", f"data.test.label=[{label}]")
    numbers = {key: whole["volumes"]["im_test"]["polarity_f1"][key] for key in ("matched", "missed", "invented")}
    assert {key: classes["volumes"]["im_test"]["polarity_f1"][key] for key in numbers} == numbers
    assert numbers["matched"] + numbers["missed"] > 3


def test_volumes_without_labels_are_decoded_too(polar: Path) -> None:
    run = trained(polar, *INDEPENDENT, "optimization.max_steps=1")
    last = run / "checkpoints" / "last.ckpt"
    assert main(["--config", str(polar), "--mode", "test", "--checkpoint", str(last), *COMMON, *INDEPENDENT,
                 "data.test.label=[]", "evaluation.enabled=false"]) == 0  # fmt: skip
    with h5py.File(run / "results" / "test_im_test_mask.h5") as file:
        assert file["main"].dtype == np.uint64


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ("decoding.name=threshold", "it must be 'polarity2instance'"),
        ("decoding.name=polarity2instance_exclusive", "it must be 'polarity2instance'"),
        ("inference.model.channel_activations.0.activation=softmax", "independent of each other: it must be sigmoid"),
        ('inference.model.channel_activations.0.channels="0:1"', "channel 1 is named by none"),
        ("decoding.dilation=[1,4,5]", "three odd numbers"),
        ("data.target.kwargs={exclusve: true}", "did you mean 'exclusive'"),
    ],
)
def test_settings_that_do_not_go_together_are_told_before_anything_is_read(
    polar: Path, capsys: pytest.CaptureFixture[str], changed: str, says: str
) -> None:
    assert main(["--config", str(polar), *COMMON, *INDEPENDENT, changed]) == 2
    error = capsys.readouterr().err
    assert says in error
    assert error.count("\n") == 1
    assert not (polar.parent / "runs").exists()


def test_a_lonely_side_is_told_before_training_and_before_a_test(
    polar: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("train", "test"):
        with h5py.File(polar.parent / f"syn_{name}.h5", "r+") as file:
            file["main"][5, 29, 33] = 77
    run = trained(polar, *INDEPENDENT, "optimization.max_steps=1")
    assert "syn_train.h5:/main: warning: one side alone is annotated: pre-synaptic id 77 without its partner 78" in (
        capsys.readouterr().out
    )
    scores_of(polar, run, *INDEPENDENT)
    assert "syn_test.h5:/main: warning: one side alone is annotated: pre-synaptic id 77" in capsys.readouterr().out


def test_tuning_decodes_with_every_setting_and_a_test_takes_the_best(polar: Path) -> None:
    run = trained(polar, *EXCLUSIVE, "optimization.max_steps=30", "optimization.n_steps_per_epoch=30",
                  "optimization.optimizer.lr=2e-2")  # fmt: skip
    last = run / "checkpoints" / "last.ckpt"
    tuning = "decoding.tuning={thresholds: [0.2, 0.8, 0.2], min_sizes: [1, 6], metric: polarity_f1}"
    assert main(["--config", str(polar), "--mode", "tune", "--checkpoint", str(last), *COMMON, *EXCLUSIVE, tuning]) == 0
    tuned = json.loads((run / "results" / "tune.json").read_text(encoding="utf-8"))
    assert [(row["threshold"], row["min_size"]) for row in tuned["mean"]] == [
        (threshold, size) for size in (1, 6) for threshold in (0.2, 0.4, 0.6, 0.8)
    ]
    assert tuned["best"]["polarity_f1"] == max(row["polarity_f1"] for row in tuned["mean"])
    best = {"threshold": tuned["best"]["threshold"], "min_size": tuned["best"]["min_size"]}
    assert yaml.safe_load((run / "results" / "tuned.yaml").read_text()) == {"decoding": best}
    settings = [*COMMON[:2], "decoding.dilation=[1,1,1]", *EXCLUSIVE]
    assert main(["--config", str(polar), "--mode", "test", "--checkpoint", str(last), *settings,
                 "--tuned", str(run / "results" / "tuned.yaml")]) == 0  # fmt: skip
    stamp = json.loads((run / "results" / "metrics.json").read_text(encoding="utf-8"))["stamp"]
    assert {name: stamp["decoding"][name] for name in best} == best
