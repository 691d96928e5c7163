import numpy as np
import pytest

from connectomics.data.positions import Positions, Runs, find_positions
from connectomics.data.targets import NOT_ANNOTATED
from connectomics.geometry import ZYX, Box
from connectomics.volumes.padding import PadMode, read_padded
from connectomics.volumes.source import ArraySource


def random_codes(shape: ZYX, excluded: float, seed: int = 0) -> ArraySource:
    rng = np.random.default_rng(seed)
    codes = (rng.random(shape) < 0.1).astype(np.uint8)
    block = rng.random(tuple(-(-n // 3) for n in shape)) < excluded
    codes[np.kron(block, np.ones((3, 3, 3), bool))[tuple(slice(n) for n in shape)]] = NOT_ANNOTATED
    return ArraySource.of(codes)


def listed(positions: Positions, runs: Runs) -> set[ZYX]:
    return {positions.place(runs[i]) for i in range(len(runs))}


@pytest.mark.parametrize("mode", ["reflect", "replicate", "constant"])
@pytest.mark.parametrize("pad", [(0, 0, 0), (1, 3, 2)])
@pytest.mark.parametrize("excluded", [0.0, 0.5])
def test_every_position_is_told_by_counting_its_voxels(mode: PadMode, pad: ZYX, excluded: float) -> None:
    codes, patch, threshold = random_codes((9, 17, 14), excluded), (3, 5, 4), 7
    found = find_positions(codes, patch, pad, mode, threshold)
    rich, poor, largest = set(), set(), 0
    outside = ArraySource.of(np.ones(codes.shape, np.uint8))
    for place in np.ndindex(*(n + 2 * p - s + 1 for n, p, s in zip(codes.shape, pad, patch, strict=True))):
        start = tuple(int(i) - p for i, p in zip(place, pad, strict=True))
        box = Box.at(start, patch)
        window = read_padded(codes, box, mode)
        if mode == "constant":
            window = np.where(read_padded(outside, box, mode) == 0, NOT_ANNOTATED, window)
        if (window != NOT_ANNOTATED).sum() * 2 <= window.size:
            continue
        count = int((window == 1).sum())
        largest = max(largest, count)
        (rich if count >= threshold else poor).add(start)
    assert listed(found, found.rich) == rich
    assert listed(found, found.poor) == poor
    assert found.largest == largest


def test_a_patch_deeper_than_a_byte_counts_is_counted() -> None:
    codes = ArraySource.of(np.ones((300, 2, 2), np.uint8))
    assert find_positions(codes, (299, 2, 2), (0, 0, 0), "reflect", 1196).largest == 1196


def test_runs_number_their_members_in_order() -> None:
    runs = Runs(np.array([3, 10]), np.array([0, 2, 5]))
    assert [runs[i] for i in range(len(runs))] == [3, 4, 10, 11, 12]


def test_the_table_of_a_sparse_volume_is_small() -> None:
    codes = np.zeros((40, 200, 200), np.uint8)
    codes[10:14, 50:60, 50:90] = 1
    found = find_positions(ArraySource.of(codes), (8, 64, 64), (0, 0, 0), "reflect", 100)
    assert len(found.rich) > 10_000
    assert found.rich.nbytes + found.poor.nbytes < codes.nbytes / 10
