from dataclasses import fields, replace

import numpy as np
import pytest

from connectomics.config.augmentation import AugmentationConfig
from connectomics.config.schema import Config
from connectomics.data.augment import AUGMENTATIONS, Augmentation, Step, build_augmentation
from connectomics.data.augment.flip import Flip
from connectomics.data.augment.geometric import GeometricStep, Geometry
from connectomics.data.augment.grey_values import Intensity
from connectomics.data.datasets import TrainingPatches
from connectomics.data.positions import find_positions
from connectomics.data.sampling import PatchSampler
from tests.data.conftest import cutter_of, enable_all, in_memory, random_volume
from tests.data.test_image_steps import a_patch

PATCH = (6, 32, 32)


def all_steps() -> list[Step]:
    config = Config()
    enable_all(config)
    whole = build_augmentation(config.data.augmentation)
    return [*whole.geometric, *whole.image]


def with_chance(step: Step, prob: float) -> Step:
    return replace(step, **{f.name: prob for f in fields(step) if f.name.endswith("prob")})


def training(augmentation: Augmentation, seed: int = 1) -> TrainingPatches:
    image, label = random_volume((10, 60, 60), share=0.1)
    volume = in_memory(image, (label > 0).astype(np.uint8))
    positions = find_positions(volume.codes, PATCH, (0, 4, 4), "reflect", 50)
    return TrainingPatches(cutter_of(volume), PatchSampler([positions], 0.9), augmentation, PATCH, seed)


def test_every_section_of_the_settings_builds_its_augmentation() -> None:
    assert [f.name for f in fields(AugmentationConfig)] == list(AUGMENTATIONS)
    assert [type(step) for step in all_steps()] == list(AUGMENTATIONS.values())


def test_what_is_not_enabled_is_not_built() -> None:
    assert build_augmentation(AugmentationConfig()) == Augmentation()


@pytest.mark.parametrize("step", all_steps(), ids=lambda step: type(step).__name__)
def test_a_chance_of_zero_returns_the_same_object(step: Step) -> None:
    given = Geometry(PATCH) if isinstance(step, GeometricStep) else a_patch()
    for seed in range(5):
        assert with_chance(step, 0.0)(given, np.random.default_rng(seed)) is given


@pytest.mark.parametrize("step", all_steps(), ids=lambda step: type(step).__name__)
def test_the_same_generator_gives_the_same_patch_and_another_one_another(step: Step) -> None:
    certain = with_chance(step, 1.0)
    alone = Augmentation((certain,)) if isinstance(certain, GeometricStep) else Augmentation(image=(certain,))
    first, again, other = training(alone).draw(3), training(alone).draw(3), training(alone, seed=2).draw(3)
    np.testing.assert_array_equal(first.image, again.image)
    np.testing.assert_array_equal(first.label, again.label)
    assert (first.image != other.image).any()
    assert (first.image != training(Augmentation()).draw(3).image).any()


@pytest.mark.parametrize(
    "step", [s for s in all_steps() if not isinstance(s, Flip | Intensity)], ids=lambda step: type(step).__name__
)
def test_a_chance_is_how_often_it_happens(step: Step) -> None:
    rng, given = np.random.default_rng(0), Geometry(PATCH) if isinstance(step, GeometricStep) else a_patch()
    happened = sum(with_chance(step, 0.3)(given, rng) is not given for _ in range(300))
    assert 60 < happened < 120


def test_labels_keep_their_values_under_the_whole_suite() -> None:
    config = Config()
    enable_all(config)
    patches = training(build_augmentation(config.data.augmentation))
    for number in range(40):
        patch = patches.draw(number)
        assert set(np.unique(patch.label)) <= {0.0, 1.0}
        assert patch.valid.all()
        assert patch.image.shape == patch.label.shape == patch.valid.shape == (1, *PATCH)
        assert 0 <= patch.image.min() <= patch.image.max() <= 1
