"""HDF5 of other programs: links, virtual datasets, external storage, filters, locks."""

import os
import pickle
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest

from connectomics.errors import VolumeError
from connectomics.volumes.read import open_volume
from tests.volumes.foreign import NM, U8, holds


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    with h5py.File(tmp_path / "raw.h5", "w") as file:
        file["data/raw"] = U8
        file["data/raw"].attrs["resolution"] = NM
        file["deep/link"] = h5py.SoftLink("/data")
    return tmp_path / "raw.h5"


@pytest.mark.parametrize(
    "link",
    [
        h5py.SoftLink("/data/raw"), h5py.SoftLink("data/raw"), h5py.SoftLink("deep/link/raw"),
        h5py.ExternalLink("raw.h5", "/data/raw"), h5py.ExternalLink("raw.h5", "/deep/link/raw"),
        h5py.ExternalLink("./raw.h5", "data/raw"),
    ],
)  # fmt: skip
def test_links_within_the_folder_are_read(tmp_path: Path, raw: Path, link: object) -> None:
    with h5py.File(tmp_path / "v.h5", "w") as file:
        file.copy(h5py.File(raw)["data"], file)
        file["deep/link"] = h5py.SoftLink("/data")
        file["main"] = link
    info = holds(tmp_path / "v.h5")
    assert info.spacing_nm == NM
    assert info.files == ((raw,) if isinstance(link, h5py.ExternalLink) else ())
    source = open_volume(str(tmp_path / "v.h5"))
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(source)).read_all()[0], U8)


def test_a_group_of_another_file_is_searched(tmp_path: Path, raw: Path) -> None:
    with h5py.File(tmp_path / "v.h5", "w") as file:
        file["theirs"] = h5py.ExternalLink(raw.name, "/data")
        file["theirs_too"] = h5py.SoftLink("/theirs")
    assert holds(tmp_path / "v.h5").notes == ("theirs/raw, the only dataset, is taken as image",)
    holds(f"{tmp_path / 'v.h5'}:/theirs_too/raw")


@pytest.mark.parametrize("target", ["../raw.h5", "/etc/passwd", "sub/../../raw.h5"])
def test_a_link_that_leaves_the_folder_is_refused_by_name(tmp_path: Path, raw: Path, target: str) -> None:
    (tmp_path / "here").mkdir()
    with h5py.File(tmp_path / "here" / "v.h5", "w") as file:
        file["main"] = h5py.ExternalLink(target, "/data/raw")
        file["through"] = h5py.SoftLink("/main")
    for location in (str(tmp_path / "here" / "v.h5"), f"{tmp_path / 'here' / 'v.h5'}:/through"):
        with pytest.raises(VolumeError, match=r"the external link /main of .* leads to .*, out of the folder"):
            open_volume(location)


def test_links_to_nothing_and_in_circles_are_told(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "v.h5", "w") as file:
        file["a"], file["b"] = h5py.SoftLink("/b"), h5py.SoftLink("/a")
        file["group/inner"] = h5py.SoftLink("/group")
        file["gone"], file["file"] = h5py.SoftLink("/nothing"), h5py.ExternalLink("no.h5", "/x")
    for name, says in (("a", "circle"), ("gone", "has no /nothing"), ("file", "no.h5, which does not exist")):
        with pytest.raises(VolumeError, match=says):
            open_volume(f"{tmp_path / 'v.h5'}:{name}")
    with pytest.raises(VolumeError, match="has no dataset 'main'"):
        open_volume(str(tmp_path / "v.h5"))


def test_a_link_to_a_challenge_label_keeps_its_layout(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "v.h5", "w") as file:
        file["volumes/labels/clefts"] = U8.astype(np.uint64)
        file["main"] = h5py.SoftLink("/volumes/labels/clefts")
    assert open_volume(str(tmp_path / "v.h5"), "label").info.layout == "cremi"


def write_virtual(path: Path, name: str, target: str, dataset: str, sections: int = len(U8)) -> None:
    with h5py.File(path, "a") as file:
        layout = h5py.VirtualLayout(U8.shape, U8.dtype)
        layout[:sections] = h5py.VirtualSource(target, dataset, U8.shape)[:sections]
        file.create_virtual_dataset(name, layout)


def test_virtual_datasets_are_read_where_all_of_their_parts_are_there(tmp_path: Path, raw: Path) -> None:
    path = tmp_path / "v.h5"
    write_virtual(path, "main", "raw.h5", "data/raw")
    assert holds(path).files == (raw,)
    write_virtual(path, "part", "raw.h5", "data/raw", sections=3)
    assert open_volume(f"{path}:part").info.notes == ("84 of its 210 voxels are mapped to no file and read as 0",)


@pytest.mark.parametrize(
    ("target", "dataset", "says"),
    [
        ("no.h5", "data/raw", "no.h5, which does not exist"),
        ("raw.h5", "data/other", "has no /data/other"),
        ("raw.h5", "data", "which is no dataset"),
        ("/etc/passwd", "x", "out of the folder"),
        ("outside.h5", "main", "external file '/etc/passwd'"),
    ],
)
def test_virtual_datasets_with_missing_parts_are_refused(
    tmp_path: Path, raw: Path, target: str, dataset: str, says: str
) -> None:
    with h5py.File(tmp_path / "outside.h5", "w") as file:
        file.create_dataset("main", U8.shape, "u1", external=[("/etc/passwd", 0, U8.size)])
    write_virtual(tmp_path / "v.h5", "main", target, dataset)
    with pytest.raises(VolumeError, match=says):
        open_volume(str(tmp_path / "v.h5"))


def test_voxels_in_any_other_file_are_refused(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "v.h5", "w") as file:
        file.create_dataset("main", U8.shape, "u1", external=[("/etc/passwd", 0, U8.size)])
    with pytest.raises(VolumeError, match="keeps its voxels in the external file '/etc/passwd'"):
        open_volume(str(tmp_path / "v.h5"))


def test_voxels_that_were_never_written_are_told(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "v.h5", "w") as file:
        file.create_dataset("main", U8.shape, "u1", chunks=(1, 6, 7), fillvalue=9)[:2] = U8[:2]
        file.create_dataset("never", U8.shape, "u1")
        file.create_dataset("whole", data=U8, chunks=(2, 4, 4))
    notes = [open_volume(f"{tmp_path / 'v.h5'}:{name}").info.notes for name in ("main", "never", "whole")]
    assert notes[0] == ("3 of 5 chunks were never written; their voxels read as 9",)
    assert notes[1:] == [("no voxel of it was ever written; all are 0",), ()]


@pytest.mark.parametrize("name", ["Blosc", "Blosc2", "Zstd", "LZ4", "Bitshuffle"])
def test_filters_are_undone_by_hdf5plugin_or_named(tmp_path: Path, name: str) -> None:
    plugin = pytest.importorskip("hdf5plugin")
    with h5py.File(tmp_path / "v.h5", "w") as file:
        file.create_dataset("main", data=U8, chunks=(2, 6, 7), **getattr(plugin, name)())
    read = (
        f"from connectomics.volumes.read import open_volume as o; print(o({str(tmp_path / 'v.h5')!r}).read_all().sum())"
    )
    found = subprocess.run([sys.executable, "-c", read], capture_output=True, text=True, check=False)
    assert found.stdout.strip() == str(U8.sum()), found.stderr
    without = f"import sys; sys.modules['hdf5plugin'] = None; {read}"
    told = subprocess.run([sys.executable, "-c", without], capture_output=True, text=True, check=False)
    assert f"is compressed with {name if name != 'Zstd' else 'Zstandard'}".lower() in told.stderr.lower()
    assert "pip install hdf5plugin" in told.stderr


def test_a_file_that_is_open_for_writing_elsewhere_is_told_as_that(tmp_path: Path) -> None:
    path = tmp_path / "v.h5"
    with h5py.File(path, "w") as file:
        file["main"] = U8
    hold = f"import h5py, sys; f = h5py.File({str(path)!r}, 'a'); print('open', flush=True); sys.stdin.read()"
    other = subprocess.Popen([sys.executable, "-c", hold], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        assert other.stdout is not None
        other.stdout.readline()
        with pytest.raises(VolumeError, match=r"open for writing .*HDF5_USE_FILE_LOCKING"):
            open_volume(str(path))
    finally:
        other.communicate(b"")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_without_permission_is_told_as_that(tmp_path: Path) -> None:
    path = tmp_path / "v.h5"
    path.touch(mode=0)
    with pytest.raises(VolumeError, match="cannot be read: you have no permission"):
        open_volume(str(path))
