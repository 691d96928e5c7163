"""Planes that do not fit into the memory come in blocks that do."""

from __future__ import annotations

import numpy as np
import pytest

from connectomics.geometry import Box
from connectomics.inference import Lane, choose_block, predict_volume
from connectomics.inference.block_choice import SHARE, bytes_a_pixel
from connectomics.volumes.intensity import IntensityRange
from connectomics.volumes.sections import cut_plane
from connectomics.volumes.source import ArraySource

from .conftest import CPU, lopsided_network, make_plan

LANES = [Lane(lopsided_network(1, 1), CPU)]


def image(y: int, x: int) -> ArraySource:
    return ArraySource.of(np.broadcast_to(np.uint8(7), (20, y, x)))


@pytest.mark.parametrize("plane", [(1000, 1000), (5000, 300), (40_000, 40_000)])
@pytest.mark.parametrize("memory", [10**7, 10**9, 10**11])
def test_a_block_fits_into_the_memory_and_is_whole_chunks(plane: tuple[int, int], memory: int) -> None:
    source, plan = image(*plane), make_plan()
    block = choose_block(plan, source, LANES, memory)
    each = bytes_a_pixel(plan, source, LANES)
    if block is None:
        assert plane[0] * plane[1] * each <= SHARE * memory
    else:
        assert plane[0] * plane[1] * each > SHARE * memory
        assert all(n % 250 == 0 for n in block)
        assert block == (250, 250) or block[0] * block[1] * each <= SHARE * memory


def test_what_is_set_is_taken() -> None:
    assert choose_block(make_plan(block=(500, 250)), image(1000, 1000), LANES, 1) == (500, 250)
    assert choose_block(make_plan(preset="fast"), image(1000, 1000), LANES, 1) is None


def test_the_prediction_does_not_depend_on_the_memory(rng: np.random.Generator) -> None:
    source, plan = ArraySource.of(rng.integers(0, 255, (9, 300, 280), np.uint8)), make_plan()
    whole, blocks = (np.zeros(source.shape, np.float32) for _ in range(2))
    for out, memory in ((whole, 10**12), (blocks, 10**5)):
        regions: list[Box] = cut_plane(source.shape, choose_block(plan, source, LANES, memory))
        assert len(regions) == (1 if memory == 10**12 else 4)
        for part in predict_volume(source, IntensityRange(0, 255), plan, LANES, regions=regions):
            out[part.box.slices] = part.voxels[0]
    np.testing.assert_array_equal(blocks, whole)
