"""A submission is what the challenge reads, and every way in which it could not be is found."""

from collections.abc import Callable, Iterator
from pathlib import Path

import h5py
import numpy as np
import pytest

from connectomics.cremi.layout import CLEFTS
from connectomics.cremi.submission import Submitted, check_submission, write_submission
from connectomics.errors import VolumeError
from connectomics.volumes.labels import CREMI_BACKGROUND
from tests.tissue import SPACING

IDS = np.random.default_rng(0).choice(np.array([0, 0, 0, 1, 2, 7], np.uint32), (4, 9, 10))


@pytest.fixture
def written(tmp_path: Path) -> tuple[Path, Submitted]:
    """Return a submission, and what was said of it."""
    path = tmp_path / "sample_A+_20160601.hdf"
    return path, write_submission(path, iter(IDS), IDS.shape, SPACING)


def test_the_file_is_in_the_challenge_s_layout(written: tuple[Path, Submitted]) -> None:
    path, said = written
    with h5py.File(path) as file:
        clefts = file[CLEFTS]
        assert file.attrs["file_format"] == "0.2"
        assert (clefts.dtype, clefts.shape, clefts.compression) == (np.uint64, IDS.shape, "gzip")
        assert dict(clefts.attrs).keys() == {"resolution"}
        assert clefts.attrs["resolution"].tolist() == list(SPACING)
        np.testing.assert_array_equal(clefts[:], np.where(IDS == 0, np.uint64(CREMI_BACKGROUND), IDS))
    assert said == Submitted(IDS.shape, 3, int((IDS > 0).sum()))
    check_submission(path, said, SPACING)
    assert [p.name for p in path.parent.iterdir()] == [path.name]


def retyped(file: h5py.File) -> None:
    voxels = file[CLEFTS][:]
    del file[CLEFTS]
    file[CLEFTS] = voxels.astype(np.int64)
    file[CLEFTS].attrs["resolution"] = SPACING


def one_more(file: h5py.File) -> None:
    file[CLEFTS][0, 0, 0] = 999


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda file: file.attrs.__setitem__("file_format", "0.1"), "file_format is 0.1, it must be 0.2"),
        (lambda file: file[CLEFTS].attrs.__setitem__("offset", (0, 0, 0)), "offset is True"),
        (lambda file: file[CLEFTS].attrs.__setitem__("resolution", (40, 8, 8)), "resolution is (40.0, 8.0, 8.0)"),
        (retyped, "int64"),
        (one_more, "clefts is 4, it must be 3"),
        (lambda file: file.__delitem__(CLEFTS), "has no dataset"),
    ],
)
def test_what_the_challenge_would_stumble_over_is_found(
    written: tuple[Path, Submitted], change: Callable[[h5py.File], object], says: str
) -> None:
    path, said = written
    with h5py.File(path, "a") as file:
        change(file)
    with pytest.raises(VolumeError) as caught:
        check_submission(path, said, SPACING)
    assert says in str(caught.value)


def test_a_writer_that_fails_leaves_nothing(tmp_path: Path) -> None:
    def broken() -> Iterator[np.ndarray]:
        yield IDS[0]
        raise VolumeError("the prediction cannot be read")

    with pytest.raises(VolumeError, match="the prediction cannot be read"):
        write_submission(tmp_path / "a.hdf", broken(), IDS.shape, SPACING)
    (tmp_path / "file").write_text("")
    with pytest.raises(VolumeError, match="cannot be written"):
        write_submission(tmp_path / "file" / "a.hdf", iter(IDS), IDS.shape, SPACING)
    assert [p.name for p in tmp_path.iterdir()] == ["file"]
