"""Settings of the data path that make no sense are told in one line, before anything is opened."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from connectomics.config.rules import check
from connectomics.config.schema import Config


def chance(config: Config) -> None:
    config.data.augmentation.rotate.prob = 1.5


def kernel(config: Config) -> None:
    config.data.augmentation.motion_blur.kernel_size = 10


def fold(config: Config) -> None:
    config.data.augmentation.elastic.magnitude_range = (2.0, 9.0)


def units(config: Config) -> None:
    config.data.augmentation.intensity.enabled = True
    config.data.image_transform.normalize = "none"


def rejection(config: Config) -> None:
    config.data.dataloader.reject_sampling.p = -0.1


def too_many(config: Config) -> None:
    config.data.dataloader.reject_sampling.size_thres = 18 * 256 * 256 + 1


SLIPS: list[tuple[Callable[[Config], None], str, str]] = [
    (chance, "data.augmentation.rotate.prob", "is 1.5; it must be a probability, from 0 to 1"),
    (kernel, "data.augmentation.motion_blur.kernel_size", "is 10; it must be an odd number of at least 3"),
    (fold, "data.augmentation.elastic.magnitude_range", "could fold the tissue"),
    (units, "data.augmentation.intensity.enabled", "it takes grey values in [0, 1]"),
    (rejection, "data.dataloader.reject_sampling.p", "is -0.1; it must be a probability"),
    (too_many, "data.dataloader.reject_sampling.size_thres", "no more than the voxels of data.dataloader.patch_size"),
]


@pytest.mark.parametrize(("slip", "key", "words"), SLIPS)
def test_a_setting_that_makes_no_sense_is_named(slip: Callable[[Config], None], key: str, words: str) -> None:
    config = Config()
    slip(config)
    complaints = list(check(config))
    assert [complaint for name, complaint in complaints if name == key and words in complaint]


def test_the_defaults_make_sense() -> None:
    assert list(check(Config())) == []
