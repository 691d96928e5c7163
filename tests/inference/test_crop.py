"""A part of a volume is predicted as the whole volume is there, also after a kill."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from connectomics.geometry import ZYX, Box
from connectomics.inference import SAVED_TYPES, Lane, fingerprint, predict_into
from connectomics.volumes.intensity import IntensityRange
from connectomics.volumes.read import open_volume, read_volume
from connectomics.volumes.sections import Sections
from connectomics.volumes.source import ArraySource, CroppedSource
from connectomics.volumes.stage import StagedVolume
from connectomics.volumes.write import write_volume

from .conftest import CPU, lopsided_network, make_plan, predict

SHAPE = (15, 37, 41)
GREY = IntensityRange(0, 255)
SAVED = SAVED_TYPES["float32"]
CROPS = [
    Box((5, 0, 0), (11, 37, 41)),
    Box((7, 9, 12), (9, 30, 33)),  # thinner than a window
    Box((0, 0, 0), (4, 20, 20)),  # at a corner
    Box((12, 17, 1), (15, 37, 41)),  # at the other
    Box((6, 20, 20), (7, 21, 21)),  # a single voxel
]
MODES: list[dict] = [
    {}, {"preset": "fast", "flip_axes": (1, 2)}, {"pad": (2, 5, 6), "pad_mode": "constant"},
    {"window": (20, 48, 16), "overlap": 0.7},
]  # fmt: skip


WIDE, WIDE_CROP = (9, 280, 270), Box((3, 10, 5), (6, 270, 262))


def voxels(shape: ZYX = SHAPE) -> np.ndarray:
    return np.random.default_rng(2).integers(0, 256, shape, np.uint8)


def part_into(
    path: Path, crop: Box, plan, lanes: int = 1, stop_after: int | None = None, shape: ZYX = SHAPE
) -> list[Sections]:
    lane = [Lane(lopsided_network(1, 1), CPU) for _ in range(lanes)]
    parts = []
    with StagedVolume(path, 1, crop.shape, SAVED.dtype, {}, {"weights": "w"}, plan.block) as stage:
        for part in predict_into(stage, SAVED, ArraySource.of(voxels(shape)), GREY, plan, lane, part=crop):
            parts.append(Sections(part.z, part.voxels.copy(), part.corner))
            if len(parts) == stop_after:
                raise KeyboardInterrupt
    return parts


@pytest.mark.parametrize("crop", CROPS, ids=str)
@pytest.mark.parametrize("mode", MODES, ids=str)
@pytest.mark.parametrize("lanes", [1, 2])
def test_a_part_is_predicted_as_in_the_whole(tmp_path: Path, crop: Box, mode: dict, lanes: int) -> None:
    plan = make_plan(activation="sigmoid", **mode)
    whole = predict(voxels()[np.newaxis], lopsided_network(1, 1), plan, GREY)[(slice(None), *crop.slices)]
    found = np.full_like(whole, np.nan)
    for part in part_into(tmp_path / "p.h5", crop, plan, lanes):
        found[(slice(None), *part.box.slices)] = part.voxels
    np.testing.assert_array_equal(read_volume(str(tmp_path / "p.h5")).voxels, found)
    np.testing.assert_allclose(found, whole, rtol=0, atol=1e-6)


def test_whole_sections_are_equal_to_the_last_bit(tmp_path: Path) -> None:
    plan = make_plan(activation="sigmoid", flip_axes=(0, 2))
    whole = predict(voxels()[np.newaxis], lopsided_network(1, 1), plan, GREY)
    part_into(tmp_path / "p.h5", CROPS[0], plan)
    np.testing.assert_array_equal(read_volume(str(tmp_path / "p.h5")).voxels, whole[:, 5:11])


def test_a_part_goes_on_after_a_kill(tmp_path: Path) -> None:
    plan = make_plan(activation="sigmoid")
    part_into(tmp_path / "unbroken.h5", CROPS[0], plan)
    _kill_and_go_on(tmp_path / "p.h5", CROPS[0], plan, SHAPE)
    assert (tmp_path / "p.h5").read_bytes() == (tmp_path / "unbroken.h5").read_bytes()


def test_a_part_in_blocks_is_predicted_as_in_the_whole_and_goes_on_after_a_kill(tmp_path: Path) -> None:
    settings = {"window": (4, 96, 96), "activation": "sigmoid"}
    whole = predict(voxels(WIDE)[np.newaxis], lopsided_network(1, 1), make_plan(**settings), GREY)
    _kill_and_go_on(tmp_path / "p.h5", WIDE_CROP, make_plan(**settings, block=(250, 250)), WIDE)
    expected = whole[(slice(None), *WIDE_CROP.slices)]
    np.testing.assert_allclose(read_volume(str(tmp_path / "p.h5")).voxels, expected, rtol=0, atol=1e-6)


def _kill_and_go_on(path: Path, crop: Box, plan, shape: ZYX) -> None:
    for kept in (1, 2):
        with pytest.raises(KeyboardInterrupt):
            part_into(path, crop, plan, stop_after=kept, shape=shape)
        assert not path.exists()
    part_into(path, crop, plan, shape=shape)


def test_place_and_surroundings_are_in_the_fingerprint(tmp_path: Path) -> None:
    write_volume(tmp_path / "im.h5", voxels(), {"resolution": np.array([40.0, 4, 4])})
    image, box = open_volume(str(tmp_path / "im.h5")), Box((0, 0, 0), (6, 37, 41))
    seen = [(image, None), (image, box), (image, box.moved((1, 0, 0))), (CroppedSource(image, box), None)]
    marks = [fingerprint({}, {}, source, GREY, part)["image"] for source, part in seen]
    assert len(set(marks)) == len(marks)
