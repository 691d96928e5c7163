"""N5, precomputed and OME-Zarr, on the disk and by URL, and what faults of a server become."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import numpy as np
import pytest
import tensorstore

from connectomics.errors import VolumeError
from connectomics.geometry import Box
from connectomics.volumes import tensor_store
from connectomics.volumes.exports import export_volume
from connectomics.volumes.read import name_of, open_volume, split_location
from connectomics.volumes.source import ArraySource
from connectomics.volumes.state import state_of_files
from tests.cremi.server import Behaviour, serve

SHAPE = (10, 70, 50)
COORDINATES = np.arange(np.prod(SHAPE), dtype=np.uint16).reshape(SHAPE)
BOX = Box((2, 30, 10), (9, 70, 33))


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tensor_store, "RETRIES", {"max_retries": 2, "initial_delay": "10ms", "max_delay": "20ms"})


def write_n5(path: Path, **attributes: object) -> Path:
    metadata = {
        "dimensions": SHAPE[::-1],
        "blockSize": [32, 32, 4],
        "dataType": "uint16",
        "compression": {"type": "gzip"},
    }
    spec = {"driver": "n5", "kvstore": {"driver": "file", "path": str(path)}, "metadata": metadata}
    array = tensorstore.open(spec, create=True).result()
    array.write(COORDINATES.transpose()).result()
    note = path / "attributes.json"
    note.write_text(json.dumps({**json.loads(note.read_text()), **attributes}))
    return path


def exported(folder: Path, form: str) -> Path:
    source = ArraySource.of(COORDINATES, (40.0, 4.0, 4.0))
    path = folder / {"ome-zarr": "v.ome.zarr", "precomputed": "v.precomputed"}[form]
    export_volume(source, path, form, is_label=False)
    return path


def content(folder: Path) -> dict[str, bytes]:
    return {str(f.relative_to(folder.parent)): f.read_bytes() for f in folder.rglob("*") if f.is_file()}


def made(folder: Path, form: str) -> Path:
    if form == "n5":
        return write_n5(folder / "v.n5", pixelResolution={"unit": "um", "dimensions": [0.004, 0.004, 0.04]})
    return exported(folder, form)


@pytest.mark.parametrize("form", ["n5", "precomputed", "ome-zarr"])
@pytest.mark.parametrize("remote", [False, True])
def test_every_voxel_is_in_its_place(tmp_path: Path, form: str, remote: bool) -> None:
    path = made(tmp_path, form)
    with serve(Behaviour(content(path))) as address:
        source = open_volume(f"{address}/{path.name}" if remote else str(path))
        np.testing.assert_array_equal(source.read_all()[0], COORDINATES)
        np.testing.assert_array_equal(source.read(BOX)[0], COORDINATES[BOX.slices])
        assert source.info.spacing_nm == pytest.approx((40.0, 4.0, 4.0))
        again = pickle.loads(pickle.dumps(source))
        np.testing.assert_array_equal(again.read(BOX)[0], COORDINATES[BOX.slices])


def test_a_dataset_inside_is_named_after_a_colon(tmp_path: Path) -> None:
    write_n5(tmp_path / "v.n5" / "volumes" / "raw", resolution=[4, 4, 4])
    with serve(Behaviour(content(tmp_path / "v.n5"))) as address:
        for place in (f"{tmp_path}/v.n5:/volumes/raw", f"{address}/v.n5:/volumes/raw"):
            source = open_volume(place)
            assert source.info.location.endswith("v.n5:/volumes/raw")
            assert source.info.spacing_nm == (4.0, 4.0, 4.0)
            np.testing.assert_array_equal(source.read_all()[0], COORDINATES)
        assert name_of(f"{address}/v.n5:/volumes/raw") == "v"
        with pytest.raises(VolumeError, match="holds no OME-Zarr, Zarr, N5 or precomputed volume"):
            open_volume(f"{address}/v.n5:/volumes/rwa")


def test_the_finest_level_of_an_n5_is_taken_and_told(tmp_path: Path) -> None:
    write_n5(tmp_path / "v.n5" / "s0")
    source = open_volume(str(tmp_path / "v.n5"))
    assert source.info.notes == ("level s0 of the N5 is taken",)
    np.testing.assert_array_equal(source.read_all()[0], COORDINATES)


def test_a_resolution_whose_order_nobody_knows_is_not_taken(tmp_path: Path) -> None:
    source = open_volume(str(write_n5(tmp_path / "v.n5", resolution=[4, 4, 40])))
    assert source.info.spacing_nm is None
    assert "may be (x, y, z) or (z, y, x)" in source.info.notes[0]


@pytest.mark.parametrize("form", ["n5", "precomputed", "ome-zarr"])
@pytest.mark.parametrize("fault", ["503", "gone", "broken"])
def test_a_fault_of_the_server_is_told_in_a_line_and_gives_no_zeros(tmp_path: Path, form: str, fault: str) -> None:
    path = made(tmp_path, form)
    files = content(path)
    behaviour = Behaviour(files)
    if fault == "gone":
        behaviour.files = {name: data for name, data in files.items() if name.endswith((".json", "info"))}
    elif fault == "503":
        behaviour.status = 503
    else:
        behaviour.break_after = [3] * 1000
    told = read_from(behaviour, path.name, files)
    assert "cannot be read" in told
    assert "\n" not in told
    assert len(told) < 600


def read_from(behaviour: Behaviour, name: str, files: dict[str, bytes]) -> str:
    """Open a volume on a server that is well, and read it from one that is not; return what is told."""
    well = Behaviour(files)
    with serve(well) as address:
        source = open_volume(f"{address}/{name}")
        well.status, well.break_after, well.files = behaviour.status, behaviour.break_after, behaviour.files
        with pytest.raises(VolumeError) as error:
            source.read_all()
    return str(error.value)


def test_a_server_that_stumbles_once_is_asked_again(tmp_path: Path) -> None:
    path = made(tmp_path, "n5")
    behaviour = Behaviour(content(path))
    with serve(behaviour) as address:
        source = open_volume(f"{address}/{path.name}")
        behaviour.break_after = [3]
        np.testing.assert_array_equal(source.read_all()[0], COORDINATES)


def test_nobody_there_is_told(tmp_path: Path) -> None:
    with serve(Behaviour({})) as address:
        pass
    with pytest.raises(VolumeError, match=r"cannot be read.*is the address right"):
        open_volume(f"{address}/v.n5")


def test_another_description_is_another_state(tmp_path: Path) -> None:
    path = made(tmp_path, "n5")
    files = content(path)
    with serve(Behaviour(files)) as address:
        first = state_of_files(open_volume(f"{address}/{path.name}"))
        assert state_of_files(open_volume(f"{address}/{path.name}")) == first
        files["v.n5/attributes.json"] = files["v.n5/attributes.json"].replace(b"0.04]", b"0.05]")
        assert state_of_files(open_volume(f"{address}/{path.name}")) != first


@pytest.mark.parametrize(
    ("location", "dataset"),
    [("https://host:8000/a/v.n5", None), ("s3://bucket/v.n5:/volumes/raw", "/volumes/raw"), ("gs://b/4_4_40", None)],
)
def test_a_url_is_split_after_its_port(location: str, dataset: str | None) -> None:
    assert split_location(location)[1] == dataset


def test_without_the_library_the_way_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = made(tmp_path, "n5")
    monkeypatch.setitem(__import__("sys").modules, "tensorstore", None)
    with pytest.raises(VolumeError, match=r"pip install 'connectomics-synapses\[cloud\]'"):
        open_volume(str(path))


def test_a_forked_worker_is_told_and_does_not_hang(tmp_path: Path) -> None:
    source = open_volume(str(made(tmp_path, "n5")))
    source._opened = 0, None  # type: ignore[attr-defined]
    with pytest.raises(VolumeError, match=r"forked; copy the volume .*system\.num_workers=0"):
        source.read(BOX)
