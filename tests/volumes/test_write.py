from __future__ import annotations

import subprocess
import sys
import textwrap
from contextlib import suppress
from pathlib import Path

import h5py
import numpy as np
import pytest
import zarr

from connectomics.errors import VolumeError
from connectomics.volumes.read import open_volume, read_volume
from connectomics.volumes.sections import cut_plane
from connectomics.volumes.write import VolumeWriter, write_volume

SHAPES = [(1, 1, 1), (9, 250, 250), (10, 251, 33), (23, 40, 501), (3, 7, 5)]


def random_voxels(shape, dtype, channels=1):
    rng = np.random.default_rng(3)
    whole = (channels, *shape)
    return rng.integers(0, 2 if dtype == np.bool_ else 200, whole).astype(dtype)


@pytest.mark.parametrize("suffix", [".h5", ".zarr"])
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("dtype", [np.float32, np.float16, np.uint8, np.uint64])
@pytest.mark.parametrize("channels", [1, 2])
def test_what_was_written_is_read_back(tmp_path: Path, suffix, shape, dtype, channels) -> None:
    voxels = random_voxels(shape, dtype, channels)
    path = tmp_path / f"v{suffix}"
    with VolumeWriter(path, channels, shape, dtype, {"resolution": np.array([40.0, 4, 4])}) as writer:
        z = 0
        for n in (4, 1, 11, 100):
            writer.write(z, voxels[:, z : z + n])
            z = min(shape[0], z + n)
    back = read_volume(str(path))
    np.testing.assert_array_equal(back.voxels, voxels)
    assert back.voxels.dtype == dtype
    assert back.info.spacing_nm == (40, 4, 4)


def test_any_hdf5_reads_the_chunks_by_its_own_filters(tmp_path: Path) -> None:
    voxels = random_voxels((20, 300, 260), np.float32)[0]
    write_volume(tmp_path / "v.h5", voxels, {})
    with h5py.File(tmp_path / "v.h5") as file:
        dataset = file["main"]
        assert (dataset.compression, dataset.shuffle, dataset.chunks) == ("gzip", True, (9, 250, 250))
        assert dataset.id.get_storage_size() < voxels.nbytes / 2
        np.testing.assert_array_equal(dataset[...], voxels)


def test_a_zarr_store_is_of_format_three(tmp_path: Path) -> None:
    write_volume(tmp_path / "v.zarr", random_voxels((3, 5, 5), np.uint8), {"scale": np.float32(255)})
    array = zarr.open_group(tmp_path / "v.zarr", mode="r")["main"]
    assert array.metadata.zarr_format == 3
    assert dict(array.attrs) == {"scale": 255.0}


def test_the_same_content_makes_the_same_file(tmp_path: Path) -> None:
    voxels = random_voxels((12, 30, 30), np.float32)
    for name in ("a.h5", "b.h5"):
        write_volume(tmp_path / name, voxels, {"offset": np.zeros(3)})
    assert (tmp_path / "a.h5").read_bytes() == (tmp_path / "b.h5").read_bytes()


def _write_and_fail(writer: VolumeWriter, sections) -> None:
    writer.write(0, sections)
    raise VolumeError


@pytest.mark.parametrize("suffix", [".h5", ".zarr"])
def test_an_error_leaves_the_old_file_and_nothing_else(tmp_path: Path, suffix) -> None:
    path = tmp_path / f"v{suffix}"
    old = random_voxels((3, 5, 5), np.uint8)
    write_volume(path, old, {})
    with pytest.raises(VolumeError), VolumeWriter(path, 1, (3, 5, 5), np.uint8, {}) as writer:
        _write_and_fail(writer, old[:, :1] + 1)
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]
    np.testing.assert_array_equal(read_volume(str(path)).voxels, old)


def test_a_file_that_lacks_sections_is_no_file(tmp_path: Path) -> None:
    with (
        pytest.raises(ValueError, match="has 75 voxels, 50 were written"),
        VolumeWriter(tmp_path / "v.h5", 1, (3, 5, 5), np.uint8, {}) as writer,
    ):
        writer.write(0, np.zeros((1, 2, 5, 5), np.uint8))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("suffix", [".h5", ".zarr"])
@pytest.mark.parametrize("channels", [1, 2])
def test_blocks_of_a_plane_make_the_whole_volume(tmp_path: Path, suffix, channels) -> None:
    voxels = random_voxels((11, 300, 520), np.float32, channels)
    path = tmp_path / f"v{suffix}"
    with VolumeWriter(path, channels, (11, 300, 520), np.float32, {}) as writer:
        for block in cut_plane((11, 300, 520), (250, 500)):
            _, ys, xs = block.slices
            for z in (0, 5, 10):
                writer.write(z, voxels[:, z : z + 5, ys, xs], block.start[1:])
    np.testing.assert_array_equal(read_volume(str(path)).voxels, voxels)


def test_a_block_that_cuts_a_chunk_is_refused(tmp_path: Path) -> None:
    with (
        pytest.raises(ValueError, match="begins at"),
        VolumeWriter(tmp_path / "v.h5", 1, (3, 300, 300), np.uint8, {}) as writer,
    ):
        writer.write(0, np.zeros((1, 3, 100, 100), np.uint8), (100, 0))


def test_sections_out_of_order_are_refused(tmp_path: Path) -> None:
    with (
        pytest.raises(ValueError, match="was given to"),
        VolumeWriter(tmp_path / "v.h5", 1, (3, 5, 5), np.uint8, {}) as writer,
    ):
        writer.write(2, np.zeros((1, 1, 5, 5), np.uint8))


@pytest.mark.parametrize("kilobytes", [1, 20, 100])
def test_a_full_disk_is_one_clear_line_and_no_file(tmp_path: Path, kilobytes) -> None:
    script = """
        import resource, sys
        from pathlib import Path
        import numpy as np
        from connectomics.errors import VolumeError
        from connectomics.volumes.write import write_volume
        limit = int(sys.argv[2])  # no file may grow larger, as on a full disk
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
        try:
            write_volume(Path(sys.argv[1]), np.random.default_rng(0).random((30, 60, 60)), {})
        except VolumeError as error:
            print(error)
    """
    command = [sys.executable, "-c", textwrap.dedent(script), str(tmp_path / "v.h5"), str(kilobytes * 1024)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert "v.h5 cannot be written" in done.stdout
    assert done.stdout.count("\n") == 1
    assert (done.returncode, done.stderr) == (0, "")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("suffix", [".h5", ".zarr"])
def test_an_empty_volume_is_there_all_the_same(tmp_path: Path, suffix: str) -> None:
    write_volume(tmp_path / f"v{suffix}", np.zeros((4, 300, 50), np.uint8), {})
    assert open_volume(str(tmp_path / f"v{suffix}")).info.notes == ()


@pytest.mark.parametrize("suffix", [".h5", ".zarr"])
def test_a_turned_bit_in_the_voxels_is_noticed(tmp_path: Path, suffix: str) -> None:
    voxels = np.random.default_rng(0).integers(0, 9, (4, 40, 50), np.uint8)
    write_volume(tmp_path / f"v{suffix}", voxels, {})
    files = [tmp_path / "v.h5"] if suffix == ".h5" else list((tmp_path / "v.zarr" / "main" / "c").rglob("0"))
    file = max((file for file in files if file.is_file()), key=lambda file: file.stat().st_size)
    whole = file.read_bytes()
    for byte in range(len(whole) - 1500, len(whole), 97) if suffix == ".h5" else range(0, len(whole), 97):
        file.write_bytes(whole[:byte] + bytes([whole[byte] ^ 4]) + whole[byte + 1 :])
        with suppress(VolumeError):
            np.testing.assert_array_equal(open_volume(str(tmp_path / f"v{suffix}")).read_all()[0], voxels)
