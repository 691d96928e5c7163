"""What there is to see of a result: what is opened, and where it lies."""

import os
import sys
from pathlib import Path

import numpy as np
import pytest

from connectomics.reports.columns import Column
from connectomics.reports.object_table import ANNOTATED_COLUMNS, CLEFT_COLUMNS, write_rows
from connectomics.reports.side_table import SIDE_COLUMNS
from connectomics.runs.view import view
from connectomics.runs.viewing.shown_layers import Layer, LazyVoxels, find_layers, find_volumes
from connectomics.runs.viewing.synapses import read_missed, read_synapses
from connectomics.volumes.labels import CREMI_BACKGROUND
from connectomics.volumes.source import ArraySource, VolumeInfo
from connectomics.volumes.write import write_volume
from tests.small_run import write_pair

SPACING = (40.0, 4.0, 4.0)


@pytest.fixture
def results(tmp_path: Path) -> Path:
    """Return the results of a test of sections 2 to 5 of a volume, probabilities saved as bytes."""
    image, label = write_pair(tmp_path, "A")
    folder = tmp_path / "run" / "results"
    grid = {"resolution": np.array(SPACING), "offset": np.array([80.0, 0.0, 0.0])}
    probability = np.arange(4 * 30 * 34).reshape(4, 30, 34).astype(np.uint8)
    write_volume(folder / "test_im_A_prediction.h5", probability, grid | {"scale": 255.0})
    write_volume(folder / "test_im_A_mask.h5", (probability >= 128).astype(np.uint8),
                 grid | {"image": f"{image}:/main", "label": f"{label}:/main"})  # fmt: skip
    return folder


def test_raw_label_prediction_and_mask_are_found_and_lie_where_they_belong(results: Path) -> None:
    assert find_volumes(results) == ["im_A"]
    layers = {layer.kind: layer for layer in find_layers(results, "im_A")}
    assert list(layers) == ["raw", "label", "prediction", "mask"]
    assert {layer.spacing_nm for layer in layers.values()} == {SPACING}
    assert layers["raw"].offset == layers["label"].offset == (0, 0, 0)
    assert layers["mask"].offset == layers["prediction"].offset == (2, 0, 0)


def test_voxels_are_read_lazily_and_mean_what_they_say(results: Path) -> None:
    layers = {layer.kind: LazyVoxels(layer) for layer in find_layers(results, "im_A")}
    probability, mask = layers["prediction"], layers["mask"]
    assert (probability.shape, probability.dtype) == ((4, 30, 34), np.float32)
    part = np.s_[1:3, 5:9, 30:40]
    np.testing.assert_array_equal(probability[part] >= 0.5, mask[part] == 1)
    assert layers["label"].dtype == np.uint64


def test_the_background_of_a_challenge_file_is_no_cleft() -> None:
    ids = np.array([[[0, 7, CREMI_BACKGROUND, CREMI_BACKGROUND - 1]]], np.uint64)
    info = VolumeInfo("sample", 1, (1, 1, 4), ids.dtype, SPACING, layout="cremi")
    shown = LazyVoxels(Layer("label", ArraySource(ids[np.newaxis], info), SPACING, "annotation"))[0:1, 0:1, 0:4]
    assert shown.tolist() == [[[0, 7, 0, 0]]]


def test_several_channels_are_a_layer_each_and_parts_of_objects_are_told(results: Path) -> None:
    probability = np.linspace(0, 1, 3 * 4 * 30 * 34, dtype=np.float32).reshape(3, 4, 30, 34)
    ids = np.arange(4 * 30 * 34, dtype=np.uint64).reshape(4, 30, 34)
    grid = {"resolution": np.array(SPACING), "offset": np.zeros(3)}
    write_volume(results / "test_im_A_prediction.h5", probability, grid | {"channels": "pre, post, union"})
    label = str(results.parents[1] / "syn_A.h5:/main")
    write_volume(results / "test_im_A_mask.h5", ids, grid | {"classes": "pre, post", "label": label})
    layers = {layer.name: LazyVoxels(layer) for layer in find_layers(results, "im_A")}
    assert list(layers) == ["annotation", "annotation: pre, post", "probability: pre", "probability: post",
                            "probability: union", "objects", "objects: pre, post"]  # fmt: skip
    part = np.s_[1:3, 5:9, 30:34]
    np.testing.assert_array_equal(layers["probability: post"][part], probability[1][part])
    np.testing.assert_array_equal(layers["objects"][part], ids[part])
    np.testing.assert_array_equal(layers["objects: pre, post"][part], 2 - ids[part] % 2)
    assert layers["objects: pre, post"][0:1, 0:1, 0:3].tolist() == [[[0, 1, 2]]]


@pytest.mark.parametrize(
    ("channels", "colors"), [("pre, post, union", [0, 1, 2]), ("background, pre, post", [2, 0, 1])]
)
def test_a_channel_has_the_colour_of_its_part_wherever_it_stands(
    results: Path, channels: str, colors: list[int]
) -> None:
    grid = {"resolution": np.array(SPACING), "offset": np.zeros(3)}
    write_volume(
        results / "test_im_A_prediction.h5", np.zeros((3, 4, 30, 34), np.float32), grid | {"channels": channels}
    )
    write_volume(results / "test_im_A_mask.h5", np.zeros((4, 30, 34), np.uint64), grid | {"classes": "pre, post"})
    layers = find_layers(results, "im_A")
    assert [layer.color for layer in layers if layer.kind == "prediction"] == colors


def test_a_folder_without_results_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert view([str(tmp_path)]) == 2
    assert "holds no test_*_mask file" in capsys.readouterr().err


def test_without_neuroglancer_the_command_to_install_it_is_told(
    results: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "neuroglancer", None)
    assert view([str(results.parent)]) == 2
    message = capsys.readouterr().err
    assert message.count("\n") == 1
    assert "[viewer]" in message


def test_instances_are_shown_by_their_ids_in_place_of_the_mask(results: Path) -> None:
    ids = np.arange(4 * 30 * 34, dtype=np.uint32).reshape(4, 30, 34)
    write_volume(results / "test_im_A_instances.h5", ids, {"resolution": np.array(SPACING), "offset": np.zeros(3)})
    layers = {layer.name: layer for layer in find_layers(results, "im_A")}
    assert list(layers) == ["image", "annotation", "probability", "objects"]
    assert layers["objects"].kind == "instances"
    np.testing.assert_array_equal(LazyVoxels(layers["objects"])[0:4, 0:30, 0:34], ids)


def test_files_that_a_result_names_are_found_from_any_folder(results: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    image, grid = "im_A.h5:/main", {"resolution": np.array(SPACING), "offset": np.zeros(3)}
    write_volume(results / "test_im_A_mask.h5", np.zeros((4, 30, 34), np.uint8), grid | {"image": image})
    monkeypatch.chdir(os.sep)
    assert find_layers(results, "im_A")[0].kind == "raw"
    monkeypatch.chdir(results.parent)
    assert find_layers(Path("results"), "im_A")[0].kind == "raw"


CLEFTS = "id,voxels,centroid_z_nm,centroid_y_nm,centroid_x_nm,mean_probability,outcome\n"
SIDES = (
    "id,voxels,pre_voxels,post_voxels,"
    "pre_z_nm,pre_y_nm,pre_x_nm,post_z_nm,post_y_nm,post_x_nm,pre_probability,post_probability,outcome,right_way_round\n"
)


def test_synapses_are_read_from_the_tables(results: Path) -> None:
    assert read_synapses(results, "im_A") == read_missed(results, "im_A") == []
    (results / "test_im_A_synapses.csv").write_text(CLEFTS + "3,40,80.0,12.0,16.0,0.75,invented\n7,9,0,0,0,0.5,\n")
    one, two = read_synapses(results, "im_A")
    assert (one.id, one.outcome, one.voxels, one.score, one.places_nm) == (
        3,
        "invented",
        40,
        0.75,
        ((80.0, 12.0, 16.0),),
    )
    assert two.outcome == "not judged"
    (results / "test_im_A_annotated.csv").write_text(
        CLEFTS.replace("mean_probability,", "") + "1,40,0,0,0,missed\n2,40,0,0,0,found\n"
    )
    (missed,) = read_missed(results, "im_A")
    assert (missed.id, missed.score) == (1, None)


def test_a_synapse_with_two_sides_leads_from_pre_to_post(results: Path) -> None:
    (results / "test_im_A_synapses.csv").write_text(
        SIDES + "1,9,4,5,40,8,8,80,12,16,0.5,0.7,found,false\n2,5,0,5,,,,80,12,16,,0.7,found,\n"
    )
    both, post = read_synapses(results, "im_A")
    assert both.places_nm == ((40, 8, 8), (80, 12, 16))
    assert both.score == pytest.approx(0.6)
    assert (both.outcome, post.outcome) == ("wrong way round", "found")
    assert post.places_nm == ((80, 12, 16),)
    assert post.score == pytest.approx(0.7)


def test_a_table_of_another_version_is_told(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (results / "test_im_A_synapses.csv").write_text("id,voxels,matched\n1,2,yes\n")
    assert view([str(results)]) == 2
    message = capsys.readouterr().err
    assert message.count("\n") == 1
    assert "test_im_A_synapses.csv" in message


@pytest.mark.parametrize("columns", [CLEFT_COLUMNS, SIDE_COLUMNS, ANNOTATED_COLUMNS])
def test_the_tables_that_a_test_writes_are_understood(results: Path, columns: tuple[Column, ...]) -> None:
    values = {"whole": 3, "number": 0.5, "truth": True, "text": "missed"}
    row = {column.name: values[column.kind] for column in columns}
    write_rows(results / "test_im_A_annotated.csv", columns, [row])
    (one,) = read_missed(results, "im_A")
    assert (one.id, one.voxels) == (3, 3)
    assert set(one.places_nm) == {(0.5, 0.5, 0.5)}
    assert (one.score is None) == (columns == ANNOTATED_COLUMNS)
