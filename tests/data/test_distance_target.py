"""The distance target of a patch is that of the whole volume, up to the patch's border."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt

from connectomics.config.data import TargetConfig
from connectomics.data.augment.elastic import Elastic
from connectomics.data.augment.flip import Flip
from connectomics.data.augment.geometric import Geometry
from connectomics.data.augment.misalignment import Misalignment
from connectomics.data.augment.rotate import Rotate
from connectomics.data.augment.zoom import Zoom
from connectomics.data.datasets import PatchCutter
from connectomics.data.distance_target import REACH
from connectomics.data.resample import cut, cut_codes
from connectomics.data.targets import NOT_ANNOTATED, build_target
from connectomics.data.volume import LearningVolume
from connectomics.errors import ConfigError
from connectomics.geometry import ZYX
from connectomics.runs.cli import main
from connectomics.volumes.intensity import IntensityRange
from connectomics.volumes.source import ArraySource
from tests.data.conftest import SPACING, coordinates, random_volume
from tests.runs.reading import only_run, scalars

VOLUME, PATCH, SCALE = (12, 60, 70), (4, 20, 24), 12.0
STEPS = {
    "flip": Flip(1.0, [0, 1, 2]), "rotate": Rotate(1.0, 90.0), "zoom": Zoom(1.0, (0.8, 1.25)),
    "elastic": Elastic(1.0, (6.0, 8.0), (2.0, 3.0)), "misalignment": Misalignment(1.0, 5, 0.0),
    "misalignment by rotation": Misalignment(1.0, 5, 1.0),
}  # fmt: skip


def target(in_plane: bool = False) -> PatchCutter:
    image, label = random_volume(VOLUME, share=0.05)
    return cutter(image, (label > 0).astype(np.uint8), in_plane)


def cutter(image: NDArray, codes: NDArray, in_plane: bool = False) -> PatchCutter:
    built = build_target(TargetConfig(type="distance", kwargs={"scale_nm": SCALE, "in_plane": in_plane}))
    sources = (ArraySource.of(part, spacing_nm=SPACING) for part in (image, codes))
    return PatchCutter([LearningVolume("memory", *sources, IntensityRange(0, 255), 0.5)], built, "reflect")


def by_scipy(codes: NDArray, in_plane: bool = False) -> NDArray:
    """Return the target of a whole volume."""
    inside = codes == 1
    if in_plane:
        parts = [distance_transform_edt(s, SPACING[1:]) - distance_transform_edt(~s, SPACING[1:]) for s in inside]
        signed = np.stack(parts)
        signed[~inside.any((1, 2))] = -np.inf
    else:
        signed = distance_transform_edt(inside, SPACING) - distance_transform_edt(~inside, SPACING)
    return (1 + np.tanh(signed.clip(-REACH * SCALE, REACH * SCALE) / SCALE)) / 2


@pytest.mark.parametrize("in_plane", [False, True])
@pytest.mark.parametrize("start", [(0, 0, 0), (4, 20, 24), (8, 40, 46), (3, 1, 40)])
def test_a_patch_shows_what_scipy_measures_in_the_whole_volume(start: ZYX, in_plane: bool) -> None:
    cut_from = target(in_plane)
    whole = by_scipy(cut_from.volumes[0].codes.read_all()[0], in_plane)
    patch = cut_from.cut(0, start, Geometry(PATCH))
    z, y, x = (slice(s, s + n) for s, n in zip(start, PATCH, strict=True))
    np.testing.assert_allclose(patch.label[0], whole[z, y, x], atol=1e-5)
    assert patch.valid.all()
    assert 0 < patch.label.min() < 0.5 < patch.label.max() < 1


@pytest.mark.parametrize("name", STEPS)
def test_a_grown_geometry_is_the_same_within(name: str) -> None:
    volume, margin, start = coordinates((30, 90, 90), 1), (2, 7, 9), (8, 30, 28)
    for seed in range(6):
        geometry = STEPS[name](Geometry(PATCH), np.random.default_rng(seed))
        _, codes = cut(volume, start, geometry, "reflect")
        at = tuple(a - b for a, b in zip(start, margin, strict=True))
        grown = cut_codes(volume, (at[0], at[1], at[2]), geometry.grown(margin), "reflect")
        within = grown[2:-2, 7:-7, 9:-9].astype(int)
        assert np.abs(within - codes).max() <= 1  # where a position lies between two voxels, rounding decides
        assert (within == codes).mean() > 0.999


@pytest.mark.parametrize("name", STEPS)
def test_the_border_moves_with_the_image(name: str) -> None:
    _, label = random_volume(VOLUME, share=0.05)
    codes = (label > 0).astype(np.uint8)
    cut_from = cutter(codes * 255, codes)
    for seed in range(4):
        patch = cut_from.cut(0, (4, 20, 24), STEPS[name](Geometry(PATCH), np.random.default_rng(seed)))
        agree = (patch.label[0] > 0.5) == (patch.image[0] > 0.5)
        assert agree.mean() > 0.99


def test_a_voxel_counts_only_if_nothing_unknown_is_nearer_than_its_border() -> None:
    image, label = random_volume(VOLUME, share=0.05)
    codes = (label > 0).astype(np.uint8)
    partly = codes.copy()
    partly[:, :, 40:] = NOT_ANNOTATED
    patch = cutter(image, partly).cut(0, (4, 20, 24), Geometry(PATCH))
    whole = by_scipy(codes)[4:8, 20:40, 24:48]
    known = patch.valid[0]
    assert not known[..., 16:].any()
    assert 0 < known[..., :16].mean() < 1
    np.testing.assert_allclose(patch.label[0][known], whole[known], atol=1e-5)


def test_without_foreground_everything_is_far_outside() -> None:
    cut_from = cutter(np.zeros(VOLUME, np.uint8), np.zeros(VOLUME, np.uint8))
    patch = cut_from.cut(0, (4, 20, 24), Geometry(PATCH))
    np.testing.assert_allclose(patch.label, (1 - np.tanh(REACH)) / 2, atol=1e-6)
    assert patch.valid.all()


@pytest.mark.parametrize(("kwargs", "says"), [({"scale_nm": 0}, "must be more than 0"), ({"scale": 5}, "scale_nm")])
def test_a_scale_that_means_nothing_is_refused(kwargs: dict[str, float], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        build_target(TargetConfig(type="distance", kwargs=kwargs))


def test_a_network_learns_distances_and_is_tested_as_one_of_clefts(small: Path) -> None:
    learns = ["data.target={type: distance, kwargs: {scale_nm: 12}}", "model.loss.losses=[{function: MSELoss}]"]
    assert main(["--config", str(small), *learns]) == 0
    run = only_run(small.parent / "runs")
    losses = scalars(run, "val_loss_MSELoss")
    assert all(0 < loss < 1 for loss in losses.values())
    last = str(run / "checkpoints" / "last.ckpt")
    assert main(["--config", str(small), "--mode", "test", "--checkpoint", last, *learns]) == 0
    assert (run / "results" / "metrics.json").is_file()
