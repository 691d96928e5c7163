from dataclasses import replace
from math import cos, radians, sin

import numpy as np
import pytest

from connectomics.data.augment.elastic import Elastic
from connectomics.data.augment.flip import Flip
from connectomics.data.augment.geometric import GeometricStep, Geometry, Jump
from connectomics.data.augment.misalignment import Misalignment
from connectomics.data.augment.rotate import Rotate
from connectomics.data.augment.zoom import Zoom
from connectomics.data.resample import cut
from tests.data.conftest import coordinates

SHAPE = (6, 24, 32)
START = (2, 20, 24)
STEPS = {
    "flip": Flip(1.0, [0, 1, 2]),
    "rotate": Rotate(1.0, 90.0),
    "zoom": Zoom(1.0, (0.8, 1.25)),
    "elastic": Elastic(1.0, (6.0, 8.0), (2.0, 3.0)),
    "misalignment": Misalignment(1.0, 5, 0.0),
    "misalignment by rotation": Misalignment(1.0, 5, 1.0),
}


def together(seed: int, *steps: GeometricStep) -> Geometry:
    rng, geometry = np.random.default_rng(seed), Geometry(SHAPE)
    for step in steps:
        geometry = step(geometry, rng)
    return geometry


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("name", [*STEPS, "all"])
@pytest.mark.parametrize("start", [START, (-2, -5, 60)], ids=["inside", "beyond the border"])
def test_image_and_target_move_together_to_half_a_voxel(name: str, axis: int, start: tuple[int, int, int]) -> None:
    volume = coordinates((9, 70, 90), axis)
    for seed in range(4):
        geometry = together(seed, *(STEPS.values() if name == "all" else [STEPS[name]]))
        image, codes = cut(volume, start, geometry, "reflect")
        assert np.abs(image[axis] - codes).max() <= 0.5 + 1e-3


def test_flips_mirror_the_patch() -> None:
    volume = coordinates((9, 70, 90), 1)
    plain, codes = cut(volume, START, Geometry(SHAPE), "reflect")
    mirrored, mirrored_codes = cut(
        volume, START, Flip(1.0, [0, 2])(Geometry(SHAPE), np.random.default_rng(0)), "reflect"
    )
    np.testing.assert_array_equal(mirrored, plain[:, ::-1, :, ::-1])
    np.testing.assert_array_equal(mirrored_codes, codes[::-1, :, ::-1])


def test_each_axis_flips_on_its_own() -> None:
    rng = np.random.default_rng(0)
    seen = [Flip(0.5, [0, 1, 2])(Geometry(SHAPE), rng) for _ in range(400)]
    kinds = {(g.flip_z, g.linear[0][0] < 0, g.linear[1][1] < 0) for g in seen}
    assert len(kinds) == 8


def test_rotation_turns_about_the_centre_and_brings_in_real_tissue() -> None:
    volume = coordinates((9, 70, 90), 1)
    geometry = Rotate(1.0, 90.0)(Geometry(SHAPE), np.random.default_rng(5))
    angle = -radians(_angle_of(5))
    image, _ = cut(volume, START, geometry, "reflect")
    rows, columns = np.indices(SHAPE[1:], dtype=float)
    y, x = rows - 11.5, columns - 15.5
    np.testing.assert_allclose(image[1, 0], 20 + 11.5 + cos(angle) * y - sin(angle) * x, atol=0.05)
    np.testing.assert_allclose(image[2, 0], 24 + 15.5 + sin(angle) * y + cos(angle) * x, atol=0.05)
    assert image[1].min() < 20  # the corners show what lies beyond the patch's own box
    assert image[1].max() > 20 + 23


def _angle_of(seed: int) -> float:
    rng = np.random.default_rng(seed)
    rng.random()
    return rng.uniform(-90, 90)


def test_rotation_angles_fill_the_range() -> None:
    rng = np.random.default_rng(0)
    sines = [Rotate(1.0, 30.0)(Geometry(SHAPE), rng).linear[1][0] for _ in range(300)]
    assert min(sines) < -0.45
    assert max(sines) > 0.45
    assert max(map(abs, sines)) <= sin(radians(30)) + 1e-9


@pytest.mark.parametrize("slip", [False, True])
def test_misalignment_shifts_exactly(slip: bool) -> None:
    volume = coordinates((9, 70, 90), 2)
    jump = Jump(3, 4 if slip else SHAPE[0], shift=(-4, 7))
    image, codes = cut(volume, START, replace(Geometry(SHAPE), jump=jump), "reflect")
    plain, plain_codes = cut(volume, START, Geometry(SHAPE), "reflect")
    moved, moved_codes = cut(volume, (START[0], START[1] + 4, START[2] - 7), Geometry(SHAPE), "reflect")
    displaced = np.zeros(SHAPE[0], bool)
    displaced[jump.first : jump.stop] = True
    np.testing.assert_array_equal(image, np.where(displaced[:, None, None], moved, plain))
    np.testing.assert_array_equal(codes, np.where(displaced[:, None, None], moved_codes, plain_codes))


def test_misalignment_draws_slips_and_lasting_jumps_of_every_size() -> None:
    rng = np.random.default_rng(0)
    jumps = [Misalignment(1.0, 3, 0.0)(Geometry(SHAPE), rng).jump for _ in range(600)]
    assert {jump.first for jump in jumps} == set(range(1, SHAPE[0]))
    assert {jump.shift[0] for jump in jumps} == {jump.shift[1] for jump in jumps} == set(range(-3, 4))
    slips = sum(jump.stop == jump.first + 1 < SHAPE[0] for jump in jumps)
    assert 180 < slips < 300  # half of those that do not begin at the last section


def test_a_rotated_misalignment_moves_no_edge_further_than_the_displacement() -> None:
    rng = np.random.default_rng(0)
    plain = Geometry(SHAPE).section_maps()[0]
    for _ in range(50):
        geometry = Misalignment(1.0, 3, 1.0)(Geometry(SHAPE), rng)
        moved = geometry.section_maps()[1]
        edge = np.hypot(moved.y - plain.y, moved.x - plain.x)[SHAPE[1] // 2, [0, -1]]
        assert (edge <= 3.1).all()


def test_a_single_section_cannot_be_misaligned() -> None:
    geometry = Geometry((1, 8, 8))
    assert Misalignment(1.0, 3, 0.0)(geometry, np.random.default_rng(0)) is geometry


@pytest.mark.parametrize("sigma", [3.0, 8.0, 20.0])
def test_the_elastic_field_has_the_root_mean_square_that_is_asked_for(sigma: float) -> None:
    plain = Geometry((1, 96, 80)).section_maps()[0]
    for seed in range(5):
        step = Elastic(1.0, (sigma, sigma), (1.25, 1.25))
        bent = step(Geometry((1, 96, 80)), np.random.default_rng(seed)).section_maps()[0]
        rms = np.sqrt(np.mean((bent.y - plain.y) ** 2 + (bent.x - plain.x) ** 2))
        assert rms == pytest.approx(1.25, rel=1e-3)


def test_the_elastic_field_is_as_smooth_as_its_sigma() -> None:
    sigma, lag, products, squares = 6, 12, [], []
    for seed in range(40):
        geometry = Elastic(1.0, (sigma, sigma), (1.0, 1.0))(Geometry((1, 96, 96)), np.random.default_rng(seed))
        moved = geometry.section_maps()[0].y - np.arange(96, dtype=np.float32)[:, None]
        products.append((moved[lag:] * moved[:-lag]).mean())
        squares.append((moved**2).mean())
    # the autocorrelation of Gaussian-smoothed noise is exp(-lag^2 / (4 sigma^2))
    assert sum(products) / sum(squares) == pytest.approx(np.exp(-1), abs=0.08)


def test_the_strongest_field_of_the_tutorial_does_not_fold_the_tissue() -> None:
    for seed in range(60):
        geometry = Elastic(1.0, (15.0, 15.0), (6.0, 6.0))(Geometry((1, 256, 256)), np.random.default_rng(seed))
        section = geometry.section_maps()[0]
        (yy, yx), (xy, xx) = np.gradient(section.y), np.gradient(section.x)
        assert (yy * xx - yx * xy).min() > 0


def test_zoom_shows_what_lies_around_the_centre_larger_by_the_factor() -> None:
    for axis in (1, 2):
        plain, _ = cut(coordinates((9, 70, 90), axis), START, Geometry(SHAPE), "reflect")
        image, _ = cut(coordinates((9, 70, 90), axis), START, together(0, Zoom(1.0, (1.25, 1.25))), "reflect")
        steps = np.diff(image[axis].astype(float), axis=axis)
        np.testing.assert_allclose(steps, 1 / 1.25, atol=0.05)
        assert image[axis].mean() == pytest.approx(plain[axis].mean(), abs=0.05)


def test_zoom_magnifies_as_often_as_it_reduces() -> None:
    rng = np.random.default_rng(0)
    factors = [Zoom(0.5, (0.5, 2.0))(Geometry(SHAPE), rng).linear[0][0] for _ in range(400)]
    assert 150 < factors.count(1.0) < 250
    assert 60 < sum(factor < 1 for factor in factors) < 140
    assert all(0.5 <= factor <= 2 for factor in factors)
