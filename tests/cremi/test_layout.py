"""Which voxels of a challenge file are labelled; what is wrong with a file is told in one line."""

from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest

from connectomics.cremi.layout import open_sample
from connectomics.cremi.remote_files import FILES, SETS, official_name, short_name
from connectomics.errors import VolumeError
from connectomics.geometry import Box
from connectomics.volumes.labels import CREMI_BACKGROUND
from tests.tissue import SPACING

RAW, CLEFTS = "volumes/raw", "volumes/labels/clefts"


@pytest.fixture
def sample(tmp_path: Path) -> Path:
    """Return a file of the challenge's layout: labels of 3 x 5 x 6 voxels at (2, 4, 7) of 8 x 16 x 20."""
    path = tmp_path / "sample_A_padded_20160501.hdf"
    with h5py.File(path, "w") as file:
        file[RAW] = np.zeros((8, 16, 20), np.uint8)
        file[CLEFTS] = np.full((3, 5, 6), CREMI_BACKGROUND, np.uint64)
        file[RAW].attrs["resolution"] = file[CLEFTS].attrs["resolution"] = SPACING
        file[CLEFTS].attrs["offset"] = np.multiply((2, 4, 7), SPACING)
    return path


def changed(change: Callable[[h5py.File], object], path: Path) -> None:
    with h5py.File(path, "a") as file:
        change(file)


def recast(file: h5py.File) -> None:
    voxels, attributes = file[CLEFTS][:].astype(np.int64), dict(file[CLEFTS].attrs)
    del file[CLEFTS]
    file[CLEFTS] = voxels
    file[CLEFTS].attrs.update(attributes)


def test_the_labels_say_where_they_lie(sample: Path) -> None:
    opened = open_sample(str(sample))
    assert opened.box == Box((2, 4, 7), (5, 9, 13))
    assert opened.clefts is not None
    assert opened.clefts.shape == opened.box.shape


def test_the_offset_of_the_raw_counts_too(sample: Path) -> None:
    changed(lambda file: file[RAW].attrs.__setitem__("offset", (40.0, 4.0, 8.0)), sample)
    assert open_sample(str(sample)).box == Box((1, 3, 5), (4, 8, 11))


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda file: file[RAW].attrs.__delitem__("resolution"), "has no attribute `resolution`; state its voxel size"),
        (lambda file: file[CLEFTS].attrs.__delitem__("offset"), "no attribute `offset` that says where the labels"),
        (lambda file: file[CLEFTS].attrs.__setitem__("offset", (240.0, 0, 0)), "covers voxels (6, 0, 0) to (9, 5, 6)"),
        (lambda file: file[CLEFTS].attrs.__setitem__("offset", (-40.0, 0, 0)), "outside its raw of (8, 16, 20)"),
        (lambda file: file[CLEFTS].attrs.__setitem__("offset", (20.0, 0, 0)), "must be a whole number of voxels"),
        (recast, "ids of a CREMI challenge file are uint64: in a copy of any other type, int64 too"),
        (lambda file: file[CLEFTS].attrs.__setitem__("resolution", (50.0, 4, 4)), "has voxels of (50.0, 4.0, 4.0) nm"),
        (lambda file: file.__delitem__(RAW), "has no dataset"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_one_clear_line(sample: Path, change: Callable[[h5py.File], object], says: str) -> None:
    changed(change, sample)
    with pytest.raises(VolumeError) as caught:
        open_sample(f"{sample}:/{RAW}")
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)
    assert sample.name in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"no HDF5 at all", b"\x89HDF\r\n\x1a\n" + bytes(300)])
def test_a_file_that_is_no_hdf5_is_told(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "sample.hdf"
    path.write_bytes(content)
    with pytest.raises(VolumeError, match="truncated or no HDF5 file"):
        open_sample(str(path))


def test_a_test_volume_is_labelled_where_its_shape_or_the_user_says(sample: Path) -> None:
    changed(lambda file: file.__delitem__("volumes/labels"), sample)
    assert open_sample(str(sample)).box == Box((0, 0, 0), (8, 16, 20))
    box = Box.at((1, 1, 1), (2, 3, 4))
    assert open_sample(str(sample), box).box == box
    with pytest.raises(VolumeError, match="does not lie within it"):
        open_sample(str(sample), Box.at((7, 1, 1), (2, 3, 4)))


def test_a_padded_test_volume_is_labelled_in_its_middle(tmp_path: Path) -> None:
    path = tmp_path / "sample_A+_padded_20160601.hdf"
    with h5py.File(path, "w") as file:
        file.create_dataset(RAW, (200, 3072, 3072), np.uint8, chunks=(1, 512, 512)).attrs["resolution"] = SPACING
    assert open_sample(str(path)).box == Box((37, 911, 911), (162, 2161, 2161))


def test_a_box_that_contradicts_the_labels_is_refused(sample: Path) -> None:
    with pytest.raises(VolumeError, match="leave --box out"):
        open_sample(str(sample), Box.at((0, 0, 0), (3, 5, 6)))


def test_names_lead_to_the_names_that_are_handed_in() -> None:
    padded = [*SETS["train"], *SETS["test"]]
    assert [short_name(name.removesuffix(".hdf")) for name in padded] == ["A", "B", "C", "A+", "B+", "C+"]
    assert [official_name(name) for name in SETS["test"]] == [f"sample_{s}+_20160601.hdf" for s in "ABC"]
    assert {official_name(name) for name in padded} <= FILES.keys()
    assert [short_name(stem) for stem in ("im_vnc_plus", "cell")] == ["vnc_plus", "cell"]
    assert len([file for file in FILES.values() if file.sha256]) == 6
