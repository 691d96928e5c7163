from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from connectomics.errors import VolumeError
from connectomics.volumes.read import read_volume
from connectomics.volumes.stage import StagedVolume

SHAPE = (11, 20, 30)
VOXELS = np.random.default_rng(0).random((2, *SHAPE)).astype(np.float32)
MARK = {"weights": "w1", "settings": "s1"}


class Killed(Exception):
    pass


def stage(path: Path, fingerprint=MARK) -> StagedVolume:
    return StagedVolume(path, 2, SHAPE, np.float32, {"offset": np.zeros(3)}, fingerprint)


def interrupted_after(path: Path, n: int, fingerprint=MARK) -> None:
    with pytest.raises(Killed), stage(path, fingerprint) as staged:
        _write_and_die(staged, n)


def _write_and_die(staged: StagedVolume, n: int) -> None:
    for z in range(staged.next_section, n, 2):
        staged.write(z, VOXELS[:, z : z + 2])
    raise Killed


def finish(staged: StagedVolume) -> None:
    if staged.next_section < SHAPE[0]:
        staged.write(staged.next_section, VOXELS[:, staged.next_section :])


@pytest.mark.parametrize("suffix", [".h5", ".zarr"])
def test_an_interrupted_volume_goes_on_where_it_was(tmp_path: Path, suffix) -> None:
    path = tmp_path / f"p{suffix}"
    interrupted_after(path, 4)
    assert not path.exists()
    with stage(path) as staged:
        assert staged.next_section == 4
        np.testing.assert_array_equal(np.concatenate([v for _, v in staged.sections()], 1), VOXELS[:, :4])
        finish(staged)
    np.testing.assert_array_equal(read_volume(str(path)).voxels, VOXELS)
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize("suffix", [".h5", ".zarr"])
def test_a_finished_volume_is_taken_as_it_is(tmp_path: Path, suffix) -> None:
    path = tmp_path / f"p{suffix}"
    with stage(path) as staged:
        finish(staged)
    with stage(path) as again:
        assert again.is_finished
        assert again.next_section == SHAPE[0]
        np.testing.assert_array_equal(np.concatenate([v for _, v in again.sections()], 1), VOXELS)


def test_other_weights_start_afresh_and_say_so(tmp_path: Path) -> None:
    path = tmp_path / "p.h5"
    interrupted_after(path, 4)
    interrupted_after(path, 2, {**MARK, "weights": "w2"})
    with stage(path, {**MARK, "weights": "w3", "code": "c"}) as staged:
        assert staged.changed == ("weights", "code")
        assert staged.next_section == 0
        finish(staged)
    with stage(path) as again:
        assert not again.is_finished
        finish(again)


def test_a_piece_that_is_torn_is_computed_again(tmp_path: Path) -> None:
    path = tmp_path / "p.h5"
    interrupted_after(path, 6)
    torn = sorted((tmp_path / ".p.h5.stage").glob("*.npy"))[1]
    torn.write_bytes(torn.read_bytes()[:-7])
    with stage(path) as staged:
        assert staged.next_section == 2
        finish(staged)
    np.testing.assert_array_equal(read_volume(str(path)).voxels, VOXELS)


def test_a_folder_without_a_fingerprint_is_not_trusted(tmp_path: Path) -> None:
    path = tmp_path / "p.h5"
    interrupted_after(path, 6)
    (tmp_path / ".p.h5.stage" / "fingerprint.json").write_text("{")
    with stage(path) as staged:
        assert staged.next_section == 0
        finish(staged)


def test_a_disk_that_takes_no_more_keeps_what_is_finished(tmp_path: Path, monkeypatch) -> None:
    path = tmp_path / "p.h5"

    def refuse(fd: int) -> None:
        raise OSError(28, "No space left on device")

    interrupted_after(path, 2)
    monkeypatch.setattr("os.fsync", refuse)
    with pytest.raises(VolumeError, match=r"No space left.*goes on from there"), stage(path) as staged:
        staged.write(2, VOXELS[:, 2:4])
    monkeypatch.undo()
    assert not path.exists()
    with stage(path) as staged:
        assert staged.next_section == 2
        finish(staged)
