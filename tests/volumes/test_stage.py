from __future__ import annotations

import contextlib
from pathlib import Path

import numpy as np
import pytest

from connectomics.errors import VolumeError
from connectomics.volumes.read import read_volume
from connectomics.volumes.sections import Sections
from connectomics.volumes.stage import StagedVolume

SHAPE = (11, 20, 30)
VOXELS = np.random.default_rng(0).random((2, *SHAPE)).astype(np.float32)
MARK = {"weights": "w1", "settings": "s1"}


class Killed(Exception):
    pass


def stage(path: Path, fingerprint=MARK, restart: bool = False) -> StagedVolume:
    return StagedVolume(path, 2, SHAPE, np.float32, {"offset": np.zeros(3)}, fingerprint, restart=restart)


def next_section(staged: StagedVolume) -> int:
    return staged.remaining[0].start[0]


def interrupted_after(path: Path, n: int, fingerprint=MARK) -> None:
    with pytest.raises(Killed), stage(path, fingerprint) as staged:
        _write_and_die(staged, n)


def _write_and_die(staged: StagedVolume, n: int) -> None:
    for z in range(next_section(staged), n, 2):
        staged.write(Sections(z, VOXELS[:, z : z + 2]))
    raise Killed


def finish(staged: StagedVolume) -> None:
    for box in list(staged.remaining):
        staged.write(Sections(box.start[0], VOXELS[(slice(None), *box.slices)], box.start[1:]))


@pytest.mark.parametrize("suffix", [".h5", ".zarr"])
def test_an_interrupted_volume_goes_on_where_it_was(tmp_path: Path, suffix) -> None:
    path = tmp_path / f"p{suffix}"
    interrupted_after(path, 4)
    assert not path.exists()
    with stage(path) as staged:
        assert next_section(staged) == 4
        np.testing.assert_array_equal(np.concatenate([s.voxels for s in staged.sections()], 1), VOXELS[:, :4])
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
        assert again.remaining == []
        np.testing.assert_array_equal(np.concatenate([s.voxels for s in again.sections()], 1), VOXELS)


def test_other_weights_are_refused_and_start_afresh_when_asked(tmp_path: Path) -> None:
    path, other = tmp_path / "p.h5", {**MARK, "weights": "w3", "version": "2"}
    interrupted_after(path, 4)
    with pytest.raises(VolumeError, match=r"p\.h5: an unfinished .* made with other weights, version; .*--restart"):
        stage(path, other).__enter__()
    assert len(list((tmp_path / ".p.h5.stage").glob("*.npy"))) == 2
    interrupted_after(path, 6)  # what was finished is still there, and goes on
    with stage(path, other, restart=True) as staged:
        assert staged.dropped == ("weights", "version")
        assert next_section(staged) == 0
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
        assert next_section(staged) == 2
        finish(staged)
    np.testing.assert_array_equal(read_volume(str(path)).voxels, VOXELS)


def test_a_folder_without_a_fingerprint_is_not_trusted(tmp_path: Path) -> None:
    path = tmp_path / "p.h5"
    interrupted_after(path, 6)
    (tmp_path / ".p.h5.stage" / "fingerprint.json").write_text("{")
    with stage(path) as staged:
        assert next_section(staged) == 0
        finish(staged)


def test_a_disk_that_takes_no_more_keeps_what_is_finished(tmp_path: Path, monkeypatch) -> None:
    path = tmp_path / "p.h5"

    def refuse(fd: int) -> None:
        raise OSError(28, "No space left on device")

    interrupted_after(path, 2)
    monkeypatch.setattr("os.fsync", refuse)
    with pytest.raises(VolumeError, match=r"No space left.*goes on from there"), stage(path) as staged:
        staged.write(Sections(2, VOXELS[:, 2:4]))
    monkeypatch.undo()
    assert not path.exists()
    with stage(path) as staged:
        assert next_section(staged) == 2
        finish(staged)


def test_blocks_of_a_plane_go_on_where_they_were(tmp_path: Path) -> None:
    shape = (11, 300, 520)  # six blocks
    voxels = np.random.default_rng(1).random((1, *shape)).astype(np.float32)
    for pieces_before_the_kill in (3, 1, 5, 100):
        with contextlib.suppress(Killed), StagedVolume(
            tmp_path / "p.h5", 1, shape, np.float32, {}, MARK, block=(250, 250)
        ) as staged:  # fmt: skip
            _write_pieces(staged, voxels, pieces_before_the_kill)
    np.testing.assert_array_equal(read_volume(str(tmp_path / "p.h5")).voxels, voxels)
    assert [entry.name for entry in tmp_path.iterdir()] == ["p.h5"]


def _write_pieces(staged: StagedVolume, voxels: np.ndarray, count: int) -> None:
    """Write pieces of up to seven sections; die after `count` of them."""
    while staged.remaining:
        box = staged.remaining[0]
        z, y, x = box.slices
        if count == 0:
            raise Killed
        staged.write(Sections(z.start, voxels[:, z.start : min(z.stop, z.start + 7), y, x], box.start[1:]))
        count -= 1


def test_sections_of_another_block_are_refused(tmp_path: Path) -> None:
    sections = Sections(0, VOXELS[:, :2], (0, 250))
    with pytest.raises(ValueError, match="comes next"), stage(tmp_path / "p.h5") as staged:
        staged.write(sections)
