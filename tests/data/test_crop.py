"""Learning from a part of a volume: grey values around it may be seen, labels never."""

from collections.abc import Callable
from itertools import islice
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch

from connectomics.config.data import ImageTransformConfig
from connectomics.config.schema import Config
from connectomics.data.positions import find_positions
from connectomics.data.targets import NOT_ANNOTATED
from connectomics.errors import UserError
from connectomics.geometry import Box
from connectomics.volumes.labelled import measure_image, open_labelled
from connectomics.volumes.padding import PadMode
from connectomics.volumes.source import ArraySource, PlacedSource
from tests.building import data_of
from tests.data.conftest import SPACING, enable_all, random_volume

MakeConfig = Callable[..., Config]
SHAPE = (20, 60, 64)
CROP = ("6:13", "10:50", "8:")
INSIDE = (slice(6, 13), slice(10, 50), slice(8, None))

pytestmark = pytest.mark.filterwarnings("ignore:This DataLoader will create:UserWarning")


@pytest.fixture
def config(make_config: MakeConfig) -> Config:
    settings = make_config(SHAPE, SHAPE, val=True)
    enable_all(settings)
    settings.data.data_transform.pad_size = (1, 8, 8)
    settings.data.train.crop = settings.data.val.crop = CROP
    settings.data.dataloader.reject_sampling.size_thres, settings.data.dataloader.reject_sampling.p = 20, 0.5
    return settings


def batches(config: Config) -> list[dict[str, torch.Tensor]]:
    data = data_of(config)
    data.setup("fit")
    return [*islice(data.train_dataloader(), 6), *data.val_dataloader()]


def same(first: list, second: list) -> bool:
    return all(torch.equal(a[name], b[name]) for a, b in zip(first, second, strict=True) for name in a)


def change_outside(path: str, value: int) -> None:
    with h5py.File(path, "r+") as file:
        voxels = file["main"][:]
        changed = np.full_like(voxels, value)
        changed[INSIDE] = voxels[INSIDE]
        file["main"][:] = changed


def test_no_label_outside_a_crop_has_any_influence(config: Config) -> None:
    before = batches(config)
    for label in (*config.data.train.label, *config.data.val.label):
        change_outside(label, 7)
    assert same(before, batches(config))


@pytest.mark.parametrize("stage", ["train", "val"])
@pytest.mark.parametrize("sees", [True, False])
def test_grey_values_outside_a_crop_are_seen_unless_that_is_forbidden(config: Config, stage: str, sees: bool) -> None:
    section = getattr(config.data, stage)
    section.crop, section.see_beyond_crop = ("6:9", "10:50", "8:"), sees  # windows of four sections reach out
    before = batches(config)
    change_outside(section.image[0], 77)
    assert same(before, batches(config)) != sees


@pytest.mark.parametrize("sees", [True, False])
@pytest.mark.parametrize("pad_mode", ["reflect", "constant"])
def test_volumes_read_lazily_give_the_same_samples(config: Config, sees: bool, pad_mode: PadMode) -> None:
    config.data.train.see_beyond_crop = config.data.val.see_beyond_crop = sees
    config.data.data_transform.pad_mode = pad_mode
    held, dataloader = batches(config), config.data.dataloader
    dataloader.use_preloaded_cache_train = dataloader.use_preloaded_cache_val = False
    assert same(held, batches(config))


@pytest.mark.parametrize("sees", [True, False])
def test_a_crop_of_everything_changes_no_bit(config: Config, sees: bool) -> None:
    config.data.train.crop = config.data.val.crop = None
    before = batches(config)
    config.data.train.crop = config.data.val.crop = (":", ":", ":")
    config.data.train.see_beyond_crop = config.data.val.see_beyond_crop = sees
    assert same(before, batches(config))


def test_a_validation_window_shows_what_lies_there_and_counts_inside_only(config: Config) -> None:
    config.data.val.crop = ("8:10", "20:30", "30:")
    data = data_of(config)
    patches = data.validation_patches()
    assert patches is not None
    image, label = random_volume(SHAPE, seed=1)
    inside = np.zeros(SHAPE, bool)
    inside[8:10, 20:30, 30:] = True
    counted = np.zeros(SHAPE, int)
    for number, window in enumerate(patches.windows):
        sample, there = patches[number], Box.at(window.start, (4, 16, 16)).slices
        np.testing.assert_allclose(sample["image"][0], image[there] / np.float32(255), atol=1e-6)
        own = np.zeros(SHAPE, bool)
        own[window.part.slices] = True
        np.testing.assert_array_equal(sample["valid"][0], inside[there] & own[there])
        np.testing.assert_array_equal(sample["label"][0], (label[there] > 0) & inside[there])
        counted[there] += sample["valid"][0].numpy()
    np.testing.assert_array_equal(counted, inside)


def test_a_crop_thinner_than_a_window_validates_where_the_volume_is_deep_enough(config: Config) -> None:
    config.data.data_transform.pad_size = (0, 0, 0)
    config.data.val.crop = ("8:10", ":", ":")
    assert data_of(config).validation_patches() is not None
    data_of(config)
    config.data.val.see_beyond_crop = False
    with pytest.raises(UserError, match="does not fit"):
        data_of(config)


@pytest.mark.parametrize("pad", [(0, 0, 0), (1, 8, 8), (3, 20, 2)])
@pytest.mark.parametrize("pad_mode", ["reflect", "constant"])
@pytest.mark.parametrize("start", [(0, 0, 0), (3, 5, 9), (5, 12, 11)])
def test_positions_around_a_crop_are_counted_as_patches_show_them(pad, pad_mode: PadMode, start) -> None:
    shape, box, patch, threshold = (9, 30, 31), Box.at(start, (4, 18, 20)), (3, 9, 10), 25
    codes = np.full(shape, NOT_ANNOTATED, np.uint8)
    codes[box.slices] = np.random.default_rng(1).integers(0, 2, box.shape)
    placed = PlacedSource(ArraySource.of(codes[box.slices]), shape, start, NOT_ANNOTATED)
    found = find_positions(placed, patch, pad, pad_mode, threshold, box)
    mode = {"mode": "reflect"} if pad_mode == "reflect" else {"constant_values": NOT_ANNOTATED}
    around = np.pad(codes, 25, **mode)
    rich, poor = set(), set()
    for at in np.ndindex(*(n + 2 * p - size + 1 for n, p, size in zip(box.shape, pad, patch, strict=True))):
        place = tuple(a + b - p for a, b, p in zip(at, start, pad, strict=True))
        seen = around[tuple(slice(25 + a, 25 + a + n) for a, n in zip(place, patch, strict=True))]
        if (seen != NOT_ANNOTATED).sum() * 2 > seen.size:
            (rich if (seen == 1).sum() >= threshold else poor).add(place)
    assert {found.place(found.rich[i]) for i in range(len(found.rich))} == rich
    assert {found.place(found.poor[i]) for i in range(len(found.poor))} == poor


@pytest.mark.parametrize("sees", [True, False])
def test_grey_values_are_measured_on_what_may_be_seen(config: Config, tmp_path: Path, sees: bool) -> None:
    image = np.zeros((4, 5, 6), np.uint8)
    image[0], image[3] = 10, 250
    with h5py.File(tmp_path / "grey.h5", "w") as file:
        file.create_dataset("main", data=image).attrs["resolution"] = SPACING
    config.data.test.image, config.data.test.crop = [str(tmp_path / "grey.h5")], (":2", ":", ":")
    config.data.test.see_beyond_crop = sees
    opened = open_labelled(config.data.test, "data.test", channels=1, need_label=False)[0]
    found = measure_image(opened, ImageTransformConfig())
    assert (found.low, found.high) == (0, 250 if sees else 10)
