from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import connectomics
from connectomics.config import Config
from connectomics.errors import PredictionError, VolumeError
from connectomics.inference import SAVED_TYPES, Lane, concerning, fingerprint, predict_into
from connectomics.volumes.intensity import IntensityRange
from connectomics.volumes.read import open_volume, read_volume
from connectomics.volumes.source import VolumeSource
from connectomics.volumes.stage import StagedVolume
from connectomics.volumes.write import write_volume

from .conftest import CPU, lopsided_network, make_plan

SHAPE = (9, 20, 33)
GREY = IntensityRange(0, 255)


@pytest.fixture
def image(tmp_path: Path, rng):
    write_volume(tmp_path / "image.h5", rng.integers(0, 256, SHAPE, np.uint8), {"resolution": np.array([40.0, 4, 4])})
    return open_volume(str(tmp_path / "image.h5"))


@pytest.mark.parametrize("save_dtype", SAVED_TYPES)
def test_what_is_yielded_is_what_the_file_holds(tmp_path: Path, image, save_dtype) -> None:
    saved, plan, path = SAVED_TYPES[save_dtype], make_plan(activation="sigmoid"), tmp_path / "p.h5"
    lanes = [Lane(lopsided_network(1, 1), CPU)]
    with StagedVolume(path, 1, SHAPE, saved.dtype, {"scale": saved.scale}, {}) as stage:
        parts = [s.voxels.copy() for s in predict_into(stage, saved, image, GREY, plan, lanes)]
    stored = read_volume(str(path)).voxels
    assert stored.dtype == save_dtype
    np.testing.assert_array_equal(saved.restore(stored), np.concatenate(parts, 1))


def test_a_probability_saved_as_uint8_is_off_by_half_a_step_at_most() -> None:
    probability = np.linspace(0, 1, 1001, dtype=np.float32)
    saved = SAVED_TYPES["uint8"]
    assert np.abs(saved.restore(saved.store(probability)) - probability).max() <= 0.5 / 255 + 1e-6


@pytest.mark.parametrize(("save_dtype", "value"), [("uint8", -0.1), ("uint8", 1.1), ("float16", 1e5)])
def test_a_type_that_does_not_reach_as_far_is_refused(save_dtype, value) -> None:
    with pytest.raises(PredictionError, match="set it to float32"):
        SAVED_TYPES[save_dtype].store(np.full((1, 1, 1, 1), value, np.float32))


def test_every_part_of_the_fingerprint_answers_to_its_cause(tmp_path: Path, image) -> None:
    weights = {"a": torch.ones(2, 3), "n": torch.tensor(4)}
    settings = concerning(Config().inference, Config().data.data_transform, {})
    base = fingerprint(settings, weights, image, GREY)
    assert fingerprint(settings, dict(reversed(weights.items())), image, GREY) == base
    other = Config()
    other.inference.window.overlap = 0.25
    changed = {
        "settings": fingerprint(concerning(other.inference, other.data.data_transform, {}), weights, image, GREY),
        "weights": fingerprint(settings, {**weights, "n": torch.tensor(5)}, image, GREY),
        "intensity": fingerprint(settings, weights, image, IntensityRange(0, 254)),
    }
    write_volume(tmp_path / "image.h5", np.zeros(SHAPE, np.uint8), {"resolution": np.array([40.0, 4, 4])})
    changed["image"] = fingerprint(settings, weights, open_volume(image.info.location), GREY)
    for name, mark in changed.items():
        assert {key for key in base if base[key] != mark[key]} == {name}


class Flaky(VolumeSource):
    """A volume on a disk with a bad sector, until it is repaired."""

    def __init__(self, source: VolumeSource) -> None:
        self.info = replace(source.info, chunk=None)  # read as it is asked for, not in layers of chunks
        self._source, self.repaired = source, False

    def _read(self, box):
        if box.stop[0] > 6 and not self.repaired:
            raise OSError("bad sector")
        return self._source.read(box)


@pytest.mark.parametrize("block", [None, (250, 250)])
def test_a_prediction_goes_on_when_the_image_can_be_read_again(tmp_path: Path, image, block) -> None:
    path, saved, plan = tmp_path / "p.h5", SAVED_TYPES["float32"], make_plan(activation="sigmoid", block=block)
    flaky, lanes, begun_at = Flaky(image), [Lane(lopsided_network(1, 1), CPU)], []

    def attempt(target: Path, source: VolumeSource) -> None:
        with StagedVolume(target, 1, SHAPE, saved.dtype, {}, {}, block) as stage:
            begun_at.append(stage.remaining[0].start[0])
            list(predict_into(stage, saved, source, GREY, plan, lanes))

    with pytest.raises(VolumeError, match=r"cannot be read at .*: bad sector"):
        attempt(path, flaky)
    assert not path.exists()
    flaky.repaired = True
    attempt(path, flaky)
    attempt(tmp_path / "undisturbed.h5", image)
    assert begun_at == [0, 2, 0]
    assert path.read_bytes() == (tmp_path / "undisturbed.h5").read_bytes()


@pytest.mark.slow
@pytest.mark.parametrize(("suffix", "kills"), [(".h5", 20), (".zarr", 6)])
def test_a_killed_prediction_ends_in_the_same_file_bit_for_bit(tmp_path: Path, rng, suffix, kills) -> None:
    write_volume(tmp_path / "image.h5", rng.integers(0, 256, (40, 40, 40), np.uint8), {})
    root = Path(connectomics.__file__).parents[1]
    script = [sys.executable, "-W", "ignore", "-m", "tests.inference.killed", str(tmp_path), suffix, str(kills)]
    done = subprocess.run(script, cwd=root, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    assert f"killed {kills}" in done.stdout
