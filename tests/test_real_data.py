"""Real serial-section EM with synapses, where it lies beside the repository; it is not part of it."""

from pathlib import Path

import numpy as np
import pytest

from connectomics.alignment.estimate import Alignment, estimate_alignment
from connectomics.alignment.likeness import Likeness
from connectomics.alignment.stack import Stack
from connectomics.config.data import ImageTransformConfig, VolumesConfig
from connectomics.geometry import Box
from connectomics.metrics import LabelPair, score_volume
from connectomics.volumes.labelled import LabelledSource, measure_image, open_labelled
from connectomics.volumes.labels import CleftLabel, split_clefts
from connectomics.volumes.read import open_volume
from connectomics.volumes.source import ArraySource

DATA = Path(__file__).parents[2] / "shared" / "data" / "vnc"

pytestmark = pytest.mark.skipif(not DATA.is_dir(), reason="the real volumes are not beside this checkout")


def open_one(image: str, label: str) -> tuple[LabelledSource, CleftLabel]:
    config = VolumesConfig(image=[str(DATA / image)], label=[str(DATA / label)])
    opened = open_labelled(config, "data.test", channels=1, need_label=True)[0]
    assert opened.label is not None
    return opened, split_clefts(opened.label.read_all()[0], opened.label.info.layout)


def test_the_challenge_layout_and_plain_files_hold_the_same_volume() -> None:
    plain, plain_label = open_one("im_vnc_val.h5", "syn_vnc_val.h5")
    challenge, challenge_label = open_one("sample_vnc_val.hdf", "sample_vnc_val.hdf")
    np.testing.assert_array_equal(plain.image.read_all(), challenge.image.read_all())
    np.testing.assert_array_equal(plain_label.foreground, challenge_label.foreground)
    assert plain.image.info.spacing_nm == challenge.image.info.spacing_nm == (50.0, 4.6, 4.6)
    assert 0.001 < plain_label.foreground.mean() < 0.02


def test_a_shift_by_one_pixel_costs_at_most_that_pixel() -> None:
    _, label = open_one("im_vnc_val.h5", "syn_vnc_val.h5")
    shifted = np.roll(label.foreground, 1, axis=2)
    shifted[..., 0] = False
    scores = score_volume(LabelPair(shifted, label.foreground, (50.0, 4.6, 4.6)), ["cremi_distance", "jaccard"])
    assert 0 < scores["cremi_distance"]["score"] <= 4.6
    assert 0.7 < scores["jaccard"] < 1


def test_grey_values_reach_from_zero_to_one() -> None:
    opened, _ = open_one("im_vnc_train.h5", "syn_vnc_train.h5")
    scaled = measure_image(opened, ImageTransformConfig()).scale(opened.image.read_all())
    assert (scaled.min(), scaled.max()) == (0, 1)


@pytest.mark.parametrize("name", ["train", "val", "plus"])
def test_real_sections_resemble_their_neighbours_more_once_they_are_aligned(name: str) -> None:
    stack = Stack(open_volume(str(DATA / f"im_vnc_{name}.h5")))
    alignment = estimate_alignment(stack, range(len(stack)))
    likeness = Likeness(alignment.table, Box((0, 0, 0), stack.source.shape))
    for z in range(len(stack)):
        likeness.compare(z, stack)
    before, after = likeness.means
    assert not alignment.bad
    assert after > before + 0.025


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_real_sections_that_are_moved_and_spoilt_are_found(seed: int) -> None:
    rng = np.random.default_rng(seed)
    whole = open_volume(str(DATA / "im_vnc_train.h5")).read_all()[0]
    moved = np.clip(np.cumsum(rng.integers(-40, 41, (20, 2)) * (rng.random((20, 1)) < 0.3), axis=0), -80, 80)

    def imaged(shifts: np.ndarray) -> np.ndarray:
        cuts = [np.s_[z, 80 - y : 432 - y, 80 - x : 944 - x] for z, (y, x) in enumerate(shifts.tolist())]
        return np.stack([whole[cut] for cut in cuts])

    def estimate(voxels: np.ndarray) -> Alignment:
        return estimate_alignment(Stack(ArraySource.of(voxels)), range(20))

    wrong = estimate(imaged(moved)).table.shifts - estimate(imaged(0 * moved)).table.shifts - moved
    assert np.abs(wrong - np.median(wrong, axis=0)).max() <= 3
    spoilt = imaged(moved)
    spoilt[7] = rng.normal(170, 20, spoilt[7].shape).clip(0, 255)
    spoilt[12, :, 300:340] = 0  # a crack
    spoilt[15] = spoilt[15] // 5 + 100  # hardly any contrast
    spoilt[16] = spoilt[16][:, ::-1]  # another place
    assert set(estimate(spoilt).bad) == {7, 15, 16}
