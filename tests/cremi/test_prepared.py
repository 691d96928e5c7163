"""What was aligned comes back as it was, voxel for voxel, and the files say what they must."""

from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from connectomics.alignment.shift_table import ShiftTable
from connectomics.cremi.layout import Sample, open_sample
from connectomics.cremi.prepared import ZERO_ID, Preparation, write_prepared
from connectomics.errors import VolumeError
from connectomics.geometry import Box
from connectomics.volumes.attributes import read_attributes
from connectomics.volumes.labels import CREMI_BACKGROUND, EXCLUDED, OUTSIDE
from connectomics.volumes.read import read_volume
from tests.tissue import SPACING

SHAPE = (9, 30, 34)
START, EXTENT = (2, 9, 10), (5, 12, 13)


def write_sample(path: Path, rng: np.random.Generator) -> Sample:
    ids = np.array([CREMI_BACKGROUND, EXCLUDED, OUTSIDE, 0, 1, 2, 2**40], np.uint64)
    with h5py.File(path, "w") as file:
        file["volumes/raw"] = rng.integers(1, 255, SHAPE, np.uint8)
        file["volumes/labels/clefts"] = rng.choice(ids, EXTENT)
        file["volumes/raw"].attrs["resolution"] = file["volumes/labels/clefts"].attrs["resolution"] = SPACING
        file["volumes/labels/clefts"].attrs["offset"] = np.multiply(START, SPACING)
    return open_sample(str(path))


def random_table(rng: np.random.Generator, reach: int) -> ShiftTable:
    shown = np.arange(SHAPE[0])
    shown[rng.integers(0, SHAPE[0])] = rng.integers(0, SHAPE[0])
    return ShiftTable(rng.integers(-reach, reach + 1, (SHAPE[0], 2)), shown)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 2**32 - 1), reach=st.integers(0, 40), margin=st.integers(0, 9))
def test_back_and_forth_is_the_same_labels_voxel_for_voxel(tmp_path: Path, seed: int, reach: int, margin: int) -> None:
    rng = np.random.default_rng(seed)
    sample = write_sample(tmp_path / "sample.hdf", rng)
    assert sample.clefts is not None
    table = random_table(rng, reach)
    plan = Preparation.around(table, sample, (margin, margin, margin), "sample.hdf")
    files = {path.name: path for path in write_prepared(sample, plan, tmp_path, "A")}
    assert set(files) == {"im_A.h5", "syn_A.h5", "mask_A.h5"}
    stored = Preparation.stored(read_attributes(files["im_A.h5"]), plan.shape)
    assert stored is not None
    named, annotated = (read_volume(str(files[f"{kind}_A.h5"])).voxels[0] for kind in ("syn", "mask"))
    original = sample.clefts.read_all()[0]
    foreground = original < OUTSIDE
    expected = np.where(foreground, np.where(original == 0, np.uint64(ZERO_ID), original), np.uint64(0))
    np.testing.assert_array_equal(np.stack(list(stored.undo(lambda z: named[z]))), expected)
    good = table.shown[START[0] : START[0] + EXTENT[0]] == np.arange(START[0], START[0] + EXTENT[0])
    counted = (foreground | (original == CREMI_BACKGROUND)) & good[:, np.newaxis, np.newaxis]
    np.testing.assert_array_equal(np.stack(list(stored.undo(lambda z: annotated[z]))) == 1, counted)
    assert (named > 0).sum() == foreground.sum()
    assert annotated.sum() == counted.sum()


@pytest.mark.parametrize("reach", [0, 6])
def test_the_image_shows_the_box_with_real_tissue_around_it(tmp_path: Path, reach: int) -> None:
    rng = np.random.default_rng(reach)
    sample = write_sample(tmp_path / "sample.hdf", rng)
    table = ShiftTable(rng.integers(-reach // 2, reach // 2 + 1, (SHAPE[0], 2)), np.arange(SHAPE[0]))
    plan = Preparation.around(table, sample, (1, 2, 2), "sample.hdf")
    image = read_volume(str(write_prepared(sample, plan, tmp_path, "A")[0]))
    raw = sample.raw.read_all()[0]
    back = np.stack(list(plan.undo(lambda z: image.voxels[0, z])))
    np.testing.assert_array_equal(back, raw[Box.at(START, EXTENT).slices])
    assert image.voxels.min() > 0  # grey values of the raw are 1 or more: nothing was filled up
    assert image.info.shape[0] == EXTENT[0] + 2
    assert image.info.spacing_nm == SPACING
    assert image.info.offset_nm == tuple(np.multiply(plan.origin, SPACING))


def test_a_bad_section_shows_its_neighbour_and_is_not_learnt_from(tmp_path: Path) -> None:
    sample = write_sample(tmp_path / "sample.hdf", np.random.default_rng(0))
    table = ShiftTable.still(SHAPE[0])
    table.shown[4] = 3
    plan = Preparation.around(table, sample, (0, 0, 0), "sample.hdf")
    image, _, mask = (read_volume(str(path)).voxels[0] for path in write_prepared(sample, plan, tmp_path, "A"))
    assert plan.stand_in(2) == 1
    np.testing.assert_array_equal(image[2], image[1])
    assert not mask[2].any()
    assert mask[1].any()


def test_three_files_or_none(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "sample.hdf", "w") as file:
        file["volumes/raw"] = np.ones(SHAPE, np.uint8)
        clefts = np.full(SHAPE, CREMI_BACKGROUND, np.uint64)
        clefts[-1] = ZERO_ID  # found in the last section, when almost all is written
        file["volumes/labels/clefts"] = clefts
        file["volumes/raw"].attrs["resolution"] = SPACING
    sample = open_sample(str(tmp_path / "sample.hdf"))
    plan = Preparation.around(ShiftTable.still(SHAPE[0]), sample, (0, 0, 0), "sample.hdf")
    with pytest.raises(VolumeError, match="which stands for the id 0 here"):
        write_prepared(sample, plan, tmp_path / "out", "A")
    assert list((tmp_path / "out").iterdir()) == []


def test_a_volume_without_labels_becomes_an_image_alone(tmp_path: Path) -> None:
    write_sample(tmp_path / "sample.hdf", np.random.default_rng(0))
    with h5py.File(tmp_path / "sample.hdf", "a") as file:
        del file["volumes/labels"]
    sample = open_sample(str(tmp_path / "sample.hdf"), Box.at(START, EXTENT))
    plan = Preparation.around(ShiftTable.still(SHAPE[0]), sample, (0, 0, 0), "sample.hdf")
    assert [path.name for path in write_prepared(sample, plan, tmp_path, "A+")] == ["im_A+.h5"]
    assert plan.shape == EXTENT
