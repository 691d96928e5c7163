"""Results in Neuroglancer itself: the state, the exported folder, and a program that stays until it is ended."""

import json
import signal
import subprocess
import sys
import threading
import urllib.request
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from connectomics.drawing.figures import CHANNEL_COLORS
from connectomics.runs.view import view
from connectomics.runs.viewing.hosting import serve_folder
from connectomics.runs.viewing.shown_layers import find_layers
from connectomics.volumes.write import write_volume
from tests.small_run import write_pair

ng = pytest.importorskip("neuroglancer", reason="neuroglancer is not installed: the extra `viewer`")
ts = pytest.importorskip("tensorstore", reason="tensorstore is not installed: the extra `test`")

from neuroglancer import read_precomputed_annotations  # noqa: E402

from connectomics.runs.viewing.appearance import as_layer, as_point_layer, fill_state, point_layers  # noqa: E402
from connectomics.runs.viewing.shown_pyramid import write_pyramid  # noqa: E402
from connectomics.runs.viewing.synapses import Synapse  # noqa: E402

ROOT = Path(__file__).parents[2]
SPACING, OFFSET = (40.0, 4.0, 4.0), (80.0, 0.0, 8.0)
GRID = {"resolution": np.array(SPACING), "offset": np.array(OFFSET)}
FOUND = "id,voxels,centroid_z_nm,centroid_y_nm,centroid_x_nm,mean_probability,outcome\n"
SYNAPSES = [
    Synapse(1, "found", 100, 0.75, ((80.0, 12.0, 16.0),)),
    Synapse(2, "invented", 2_000_003, 0.5, ((120.0, 40.0, 80.0),)),
]
MISSED = [Synapse(1, "missed", 33, None, ((160.0, 0.0, 8.0),))]


@pytest.fixture
def results(tmp_path: Path) -> Path:
    """Return the results of a test of a volume, probabilities saved as bytes, with its tables."""
    image, label = write_pair(tmp_path, "A")
    folder = tmp_path / "run" / "results"
    probability = np.random.default_rng(0).integers(0, 256, (4, 30, 34)).astype(np.uint8)
    write_volume(folder / "test_im_A_prediction.h5", probability, GRID | {"scale": 255.0})
    write_volume(folder / "test_im_A_mask.h5", (probability >= 128).astype(np.uint8),
                 GRID | {"image": f"{image}:/main", "label": f"{label}:/main"})  # fmt: skip
    (folder / "test_im_A_synapses.csv").write_text(
        FOUND + "1,100,80,12,16,0.75,found\n2,2000003,120,40,80,0.5,invented\n"
    )
    (folder / "test_im_A_annotated.csv").write_text(FOUND + "1,33,160,0,8,,missed\n".replace(",,", ",0,"))
    return folder


def filled(results: Path, points: list | None = None) -> "ng.ViewerState":
    state = ng.ViewerState()
    fill_state(
        state,
        find_layers(results, "im_A"),
        points or [],
        lambda layer: as_layer(layer, f"zarr3://{layer.name}"),
        lambda one: as_point_layer(one, SPACING),
    )
    return state


def test_the_view_fits_the_volume_at_the_right_voxel_size(results: Path) -> None:
    state = filled(results)
    assert [layer.name for layer in state.layers] == ["image", "annotation", "probability", "objects"]
    assert list(state.dimensions.names) == ["x", "y", "z"]
    np.testing.assert_allclose(state.dimensions.scales, [4e-9, 4e-9, 40e-9])
    np.testing.assert_allclose(state.position, [17 + 2, 15, 2 + 2])
    assert state.to_json()["layout"] == "xy-3d"
    assert state.cross_section_scale * 640 == 34


def test_probabilities_have_controls_and_channels_the_colours_of_the_pictures(results: Path) -> None:
    write_volume(results / "test_im_A_prediction.h5", np.zeros((2, 4, 30, 34), np.float32), GRID)
    write_volume(results / "test_im_A_mask.h5", np.zeros((4, 30, 34), np.uint64), GRID | {"classes": "pre, post"})
    state = filled(results)
    assert [layer.name for layer in state.layers] == [
        "probability: 0", "probability: 1", "objects", "objects: pre, post"]  # fmt: skip
    for channel in range(2):
        shader = state.layers[f"probability: {channel}"].layer.shader
        assert "#{:02x}{:02x}{:02x}".format(*CHANNEL_COLORS[channel]) in shader
        assert all(f"#uicontrol {control}" in shader for control in ("invlerp", "vec3 color", "float opacity"))
    assert state.layers["objects: pre, post"].layer.segment_colors[2] == "#00e1ff"


def test_detected_missed_and_invented_are_layers_with_outcome_and_score(results: Path) -> None:
    state = filled(results, point_layers(SYNAPSES, MISSED))
    assert [layer.name for layer in state.layers][4:] == ["detected", "missed", "invented"]
    layer = state.layers["invented"].layer
    (one,) = layer.annotations
    np.testing.assert_allclose(one.point, [20.5, 10.5, 3.5])  # the middle of voxel (z, y, x) = (3, 10, 20)
    named = {spec.id: value for spec, value in zip(layer.annotation_properties, one.props, strict=True)}
    assert named == {"score": 0.5, "voxels": 2_000_003, "outcome": 6}
    assert layer.annotation_properties[2].enum_labels[6] == "invented"
    assert [[int(segment) for segment in same] for same in one.segments] == [[2]]


def test_what_nobody_judged_is_one_layer_and_two_sides_are_a_line(results: Path) -> None:
    sided = Synapse(4, "not judged", 9, 0.5, ((40.0, 8.0, 8.0), (80.0, 12.0, 16.0)))
    state = filled(results, point_layers([sided], []))
    (line,) = state.layers["synapses"].layer.annotations
    np.testing.assert_allclose([line.pointA, line.pointB], [[2.5, 2.5, 1.5], [4.5, 3.5, 2.5]])


def opened(path: Path) -> np.ndarray:
    store = {"driver": "zarr3", "kvstore": {"driver": "file", "path": str(path)}}
    return ts.open(store, read=True).result().read().result()


def test_an_exported_folder_holds_every_voxel_and_every_synapse(results: Path, tmp_path: Path) -> None:
    folder = tmp_path / "shared"
    assert view([str(results), "--export", str(folder)]) == 0
    (own,) = [path for path in folder.iterdir() if path.is_dir()]
    for layer in find_layers(results, "im_A"):
        stored = opened(own / f"{layer.name}.zarr" / "0")
        voxels = layer.source.read_all()[0]
        np.testing.assert_array_equal(stored, voxels)  # probabilities are bytes there and here
        described = json.loads((own / f"{layer.name}.zarr" / "zarr.json").read_text())["attributes"]["ome"]
        scale, shift = described["multiscales"][0]["datasets"][0]["coordinateTransformations"]
        assert scale["scale"] == list(SPACING)
        middle = np.array(layer.source.info.offset_nm) + np.array(SPACING) / 2
        np.testing.assert_allclose(shift["translation"], middle)
    state = ng.ViewerState(json.loads((own / "state.json").read_text()))
    assert [layer.name for layer in state.layers][4:] == ["detected", "missed", "invented"]
    read = read_precomputed_annotations.AnnotationReader(f"file://{own / 'invented'}")
    one = read.by_id[2]
    np.testing.assert_allclose(one.point, [20.5, 10.5, 3.5])
    assert dict(zip([spec.id for spec in read.properties], one.props, strict=True)) == {
        "score": 0.5, "voxels": 2_000_003, "outcome": 6}  # fmt: skip


def test_a_pyramid_keeps_means_and_ids(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("connectomics.runs.viewing.shown_pyramid.SMALLEST", 700)
    monkeypatch.setattr("connectomics.runs.viewing.shown_pyramid.TILE", (2, 8, 16))
    rng = np.random.default_rng(0)
    grid = {"resolution": np.array(SPACING), "offset": np.zeros(3)}
    (tmp_path / "results").mkdir()
    mask = (rng.random((5, 33, 41)) < 0.3).astype(np.uint8)
    constant = np.full((5, 33, 41), 0.5, np.float32)
    write_volume(tmp_path / "results" / "test_a_mask.h5", mask, grid)
    write_volume(tmp_path / "results" / "test_a_prediction.h5", constant, grid)
    for layer in find_layers(tmp_path / "results", "a"):
        write_pyramid(tmp_path / layer.name, layer)
        shapes = [opened(tmp_path / layer.name / str(level)).shape for level in range(3)]
        assert shapes == [(5, 33, 41), (5, 17, 21), (5, 9, 11)]
        assert not (tmp_path / layer.name / "3").exists()
        for level in (1, 2):
            coarse = opened(tmp_path / layer.name / str(level))
            if layer.kind == "prediction":
                assert (coarse == 128).all()
            else:
                np.testing.assert_array_equal(coarse, mask[:, :: 2**level, :: 2**level])


def test_a_folder_that_is_there_is_not_written_into(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert view([str(results), "--export", str(results)]) == 2
    assert "is there already" in capsys.readouterr().err


def started(*arguments: str) -> subprocess.Popen[str]:
    """Start the program with its standard input closed."""
    command = [sys.executable, str(ROOT / "scripts" / "view.py"), *arguments]
    return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, cwd="/")


def ended(process: subprocess.Popen[str]) -> int:
    process.send_signal(signal.SIGTERM)
    assert process.stdout is not None
    process.stdout.close()
    return process.wait(timeout=20)


def test_an_exported_folder_is_handed_out_to_pages_of_other_sites(results: Path, tmp_path: Path) -> None:
    assert view([str(results), "--export", str(tmp_path / "shared")]) == 0
    process = started(str(tmp_path / "shared"), "--bind", "127.0.0.1")
    assert process.stdout is not None
    address = process.stdout.readline().strip()
    assert process.stdout.readline().strip() == "Ctrl+C ends"
    with urllib.request.urlopen(address) as answer:
        assert answer.headers["Access-Control-Allow-Origin"] == "*"
        assert "im_A" in answer.read().decode()
    assert ended(process) == 0


def test_the_viewer_stays_when_standard_input_is_closed_and_works_from_another_folder(results: Path) -> None:
    process = started(str(results.parent))
    assert process.stdout is not None
    name, _, address = process.stdout.readline().strip().partition(": ")
    assert name == "im_A"
    assert process.stdout.readline().strip() == "Ctrl+C ends"
    with urllib.request.urlopen(address) as answer:
        assert answer.status == 200
    assert process.poll() is None
    assert ended(process) == 0


def test_the_page_of_an_exported_folder_leads_to_neuroglancer_with_the_folders_real_address(
    results: Path, tmp_path: Path, program: Any
) -> None:
    client = "https://viewer.invalid/"
    assert view([str(results), "--export", str(tmp_path / "shared"), "--client", client]) == 0
    server = serve_folder(tmp_path / "shared", "127.0.0.1", 0)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    page = program.new_page()
    try:
        page.goto(f"http://127.0.0.1:{server.server_port}/index.html")
        link = page.get_by_role("link", name="im_A").get_attribute("href")
        assert not page.locator("#disk").is_visible()
        page.goto((tmp_path / "shared" / "index.html").as_uri())
        assert page.locator("#disk").is_visible()
    finally:
        page.close()
        server.shutdown()
        server.server_close()
    assert link.startswith(f"{client}#!")
    state = ng.parse_url(link)
    for layer in state.layers:
        (source,) = layer.layer.source
        assert f"://http://127.0.0.1:{server.server_port}/0_im_A/" in source.url
