"""Results in Neuroglancer: what is opened, and where it lies; the viewer itself only where it is installed."""

import sys
from pathlib import Path

import numpy as np
import pytest

from connectomics.drawing.figures import CHANNEL_COLORS
from connectomics.runs.view import Layer, LazyVoxels, fill_viewer, find_layers, find_volumes, view
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
    shown = LazyVoxels(Layer("label", ArraySource(ids[np.newaxis], info), SPACING, "label"))[0:1, 0:1, 0:4]
    assert shown.tolist() == [[[0, 7, 0, 0]]]


def test_several_channels_are_a_layer_each_and_parts_of_objects_are_told(results: Path) -> None:
    probability = np.linspace(0, 1, 3 * 4 * 30 * 34, dtype=np.float32).reshape(3, 4, 30, 34)
    ids = np.arange(4 * 30 * 34, dtype=np.uint64).reshape(4, 30, 34)
    grid = {"resolution": np.array(SPACING), "offset": np.zeros(3)}
    write_volume(results / "test_im_A_prediction.h5", probability, grid | {"channels": "pre, post, union"})
    label = str(results.parents[1] / "syn_A.h5:/main")
    write_volume(results / "test_im_A_mask.h5", ids, grid | {"classes": "pre, post", "label": label})
    layers = {layer.name: LazyVoxels(layer) for layer in find_layers(results, "im_A")}
    assert list(layers) == ["label", "label: pre, post", "prediction: pre", "prediction: post", "prediction: union",
                            "mask", "mask: pre, post"]  # fmt: skip
    part = np.s_[1:3, 5:9, 30:34]
    np.testing.assert_array_equal(layers["prediction: post"][part], probability[1][part])
    np.testing.assert_array_equal(layers["mask"][part], ids[part])
    np.testing.assert_array_equal(layers["mask: pre, post"][part], 2 - ids[part] % 2)
    assert layers["mask: pre, post"][0:1, 0:1, 0:3].tolist() == [[[0, 1, 2]]]


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
    assert "pip install neuroglancer" in message


def test_neuroglancer_gets_every_layer_at_the_right_voxel_size(results: Path) -> None:
    neuroglancer = pytest.importorskip("neuroglancer", reason="neuroglancer is not installed: the extra `viewer`")
    state = neuroglancer.ViewerState()
    fill_viewer(state, find_layers(results, "im_A"))
    assert [layer.name for layer in state.layers] == ["raw", "label", "prediction", "mask"]
    assert list(state.dimensions.names) == ["x", "y", "z"]
    np.testing.assert_allclose(state.dimensions.scales, [4e-9, 4e-9, 40e-9])
    np.testing.assert_allclose(state.position, [17, 15, 4])
    for layer in state.layers:
        (source,) = layer.layer.source
        np.testing.assert_allclose(source.url.dimensions.scales, [40e-9, 4e-9, 4e-9])
        assert source.url.voxel_offset.tolist() == [2 if layer.name in ("prediction", "mask") else 0, 0, 0]


def test_neuroglancer_draws_channels_and_parts_in_the_colours_of_the_pictures(results: Path) -> None:
    neuroglancer = pytest.importorskip("neuroglancer", reason="neuroglancer is not installed: the extra `viewer`")
    grid = {"resolution": np.array(SPACING), "offset": np.zeros(3)}
    write_volume(results / "test_im_A_prediction.h5", np.zeros((2, 4, 30, 34), np.float32), grid)
    write_volume(results / "test_im_A_mask.h5", np.zeros((4, 30, 34), np.uint64), grid | {"classes": "pre, post"})
    state = neuroglancer.ViewerState()
    fill_viewer(state, find_layers(results, "im_A"))
    assert [layer.name for layer in state.layers] == ["prediction: 0", "prediction: 1", "mask", "mask: pre, post"]
    for channel in range(2):
        color = ", ".join(f"{value / 255:.3f}" for value in CHANNEL_COLORS[channel])
        assert color in state.layers[f"prediction: {channel}"].layer.shader
    assert state.layers["mask: pre, post"].layer.segment_colors[2] == "#00e1ff"
