"""Chunks that are deeper than what is asked for at a time are unpacked once."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest
import zarr

from connectomics.geometry import Box
from connectomics.volumes import intensity
from connectomics.volumes.chunk_layers import LayeredSource, by_layers
from connectomics.volumes.intensity import measure_intensity
from connectomics.volumes.read import open_volume
from connectomics.volumes.source import ArraySource, VolumeSource

SHAPE = (40, 30, 50)
VOXELS = np.random.default_rng(0).integers(0, 60_000, SHAPE, np.uint16)
CHUNK = (16, 8, 8)


class Counted(VolumeSource):
    """Counts how often each chunk is unpacked."""

    def __init__(self) -> None:
        self._source = ArraySource.of(VOXELS)
        self.info = replace(self._source.info, chunk=CHUNK)
        self.unpacked = np.zeros([-(-n // c) for n, c in zip(SHAPE, CHUNK, strict=True)], int)

    def _read(self, box: Box):
        chunks = tuple(slice(a // c, -(-b // c)) for a, b, c in zip(box.start, box.stop, CHUNK, strict=True))
        self.unpacked[chunks] += box.size > 0
        return self._source.read(box)


@pytest.mark.parametrize("bytes_at_once", [1, 20_000, 10**9])
def test_grey_values_unpack_each_chunk_once_for_each_look(monkeypatch: pytest.MonkeyPatch, bytes_at_once: int) -> None:
    monkeypatch.setattr(intensity, "SLAB_BYTES", bytes_at_once)
    source = Counted()
    found = measure_intensity(source, "0-1", 0.0, 1.0)
    assert (found.low, found.high) == (VOXELS.min(), VOXELS.max())
    assert source.unpacked.max() == source.unpacked.min() == 1
    again = measure_intensity(source, "0-1", 0.02, 0.98)
    assert source.unpacked.max() == source.unpacked.min() == 3
    assert again == measure_intensity(ArraySource.of(VOXELS), "0-1", 0.02, 0.98)


@pytest.mark.parametrize("step", [1, 4, 16, 23])
def test_boxes_in_order_unpack_each_chunk_once(step: int) -> None:
    source = Counted()
    layered = by_layers(source, Box.whole(SHAPE))
    for z in range(0, SHAPE[0], step):
        box = Box.sections(max(0, z - 3), min(SHAPE[0], z + step), SHAPE)
        np.testing.assert_array_equal(layered.read(box)[0], VOXELS[box.slices])
    assert source.unpacked.max() == source.unpacked.min() == 1


def test_boxes_in_any_order_are_right() -> None:
    rng, layered = np.random.default_rng(1), LayeredSource(Counted(), CHUNK[0])
    for _ in range(200):
        start = [int(rng.integers(0, n)) for n in SHAPE]
        stop = [int(rng.integers(a, n + 1)) for a, n in zip(start, SHAPE, strict=True)]
        if rng.random() < 0.5:
            start[1:], stop[1:] = [2, 3], [20, 40]
        box = Box(tuple(start), tuple(stop))  # type: ignore[arg-type]
        np.testing.assert_array_equal(layered.read(box)[0], VOXELS[box.slices])


def test_formats_say_how_their_chunks_lie(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("main", data=VOXELS, chunks=CHUNK)
    zarr.open_group(str(tmp_path / "a.zarr"), mode="w").create_array("main", data=VOXELS, chunks=CHUNK)
    with h5py.File(tmp_path / "b.h5", "w") as file:
        file["main"] = VOXELS
    chunks = [open_volume(str(tmp_path / name)).info.chunk for name in ("a.h5", "a.zarr", "b.h5")]
    assert chunks == [CHUNK, CHUNK, None]
