"""`inference.save_backend: ome-zarr`: what other programs read is what was written."""

from __future__ import annotations

from math import ceil
from pathlib import Path

import numpy as np
import pytest
import tensorstore
import zarr
from ome_zarr_models.v05 import Image

from connectomics.volumes import ome_store
from connectomics.volumes.attributes import read_attributes
from connectomics.volumes.chunks import CHUNK
from connectomics.volumes.halving import halve
from connectomics.volumes.ome_store import shard_shape
from connectomics.volumes.read import open_volume
from connectomics.volumes.write import VolumeWriter

SHAPE = (20, 1030, 300)
GRID = {"resolution": np.array([40.0, 4.0, 4.0]), "offset": np.array([80.0, 0.0, 12.0])}
VOXELS = np.random.default_rng(3).integers(0, 255, (2, *SHAPE), np.uint8)


def written(path: Path, voxels: np.ndarray = VOXELS, block: int = 2000, **attributes: object) -> Path:
    channels, _, high, wide = voxels.shape
    with VolumeWriter(path, channels, voxels.shape[1:], voxels.dtype, {**GRID, **attributes}) as writer:
        for y in range(0, high, block):
            for x in range(0, wide, block):
                for z in range(0, SHAPE[0], 7):
                    writer.write(z, voxels[:, z : z + 7, y : y + block, x : x + block], (y, x))
    return path


@pytest.mark.parametrize("block", [2000, 250])
@pytest.mark.parametrize("channels", [1, 2])
def test_it_is_read_back_with_its_place_and_its_attributes(tmp_path: Path, block: int, channels: int) -> None:
    path = written(tmp_path / "p.ome.zarr", VOXELS[:channels], block, scale=255.0)
    source = open_volume(str(path))
    np.testing.assert_array_equal(source.read_all(), VOXELS[:channels])
    assert source.info.spacing_nm == (40.0, 4.0, 4.0)
    assert source.info.offset_nm == (80.0, 0.0, 12.0)
    assert read_attributes(path)["scale"] == 255.0
    assert [entry.name for entry in tmp_path.iterdir()] == ["p.ome.zarr"]


def test_other_libraries_read_every_level(tmp_path: Path) -> None:
    path = written(tmp_path / "p.ome.zarr", scale=255.0)
    group = zarr.open_group(str(path), mode="r")
    model = Image.from_zarr(group)
    assert [level.path for level in model.ome_attributes.multiscales[0].datasets] == ["0", "1"]
    halved = np.stack([halve(section[np.newaxis], False)[0] for section in VOXELS.reshape(-1, 1, *SHAPE[1:])])
    for level, expected in (("0", VOXELS), ("1", halved.reshape(2, SHAPE[0], 515, 150))):
        kvstore = {"driver": "file", "path": str(path / level)}
        array = tensorstore.open({"driver": "zarr3", "kvstore": kvstore}, read=True).result()
        np.testing.assert_array_equal(array.read().result(), expected)
        np.testing.assert_array_equal(np.asarray(group[level]), expected)


def test_a_coarser_mask_holds_ids_that_are_there(tmp_path: Path) -> None:
    path = written(tmp_path / "p.ome.zarr", VOXELS[:1], content="ids")
    coarse = np.asarray(zarr.open_group(str(path), mode="r")["1"])
    np.testing.assert_array_equal(coarse, VOXELS[0, :, ::2, ::2])


def test_a_file_holds_many_chunks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written(tmp_path / "p.ome.zarr", VOXELS[:1])
    files = [file for file in (path / "0" / "c").rglob("*") if file.is_file()]
    assert len(files) == ceil(SHAPE[0] / CHUNK[0])  # of 30 chunks
    monkeypatch.setattr(ome_store, "SHARD_BYTES", 4 * 9 * 250 * 250)
    assert shard_shape((100, 5000, 2000), np.dtype(np.uint8)) == (9, 500, 500)


@pytest.mark.parametrize("shape", [(1000, 10_000, 10_000), (2, 100, 300, 70_000), (5, 40, 40)])
@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_a_shard_is_whole_chunks_and_no_larger_than_allowed(shape: tuple[int, ...], dtype: type) -> None:
    shard = shard_shape(shape, np.dtype(dtype))
    chunk = [min(n, c) for n, c in zip(shape[-3:], CHUNK, strict=True)]
    assert all(s % c == 0 and s <= ceil(n / c) * c for s, c, n in zip(shard[-3:], chunk, shape[-3:], strict=True))
    assert np.prod(shard) * np.dtype(dtype).itemsize <= ome_store.SHARD_BYTES
