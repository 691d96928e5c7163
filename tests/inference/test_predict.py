from __future__ import annotations

import numpy as np
import pytest
import torch

from connectomics.errors import ConfigError, DeviceError, PredictionError, VolumeError
from connectomics.inference import Lane, predict_volume
from connectomics.inference.blend import PROFILES
from connectomics.inference.slabs import scale_on
from connectomics.volumes.intensity import IntensityRange
from connectomics.volumes.source import ArraySource

from .conftest import AS_IT_IS, CPU, lopsided_network, make_plan, predict
from .reference import predict_plainly

RAGGED = [(9, 37, 50), (4, 16, 16), (13, 17, 16), (5, 16, 33)]


def identity(windows):
    return windows


@pytest.mark.parametrize("shape", [*RAGGED, (2, 5, 7), (1, 1, 1), (3, 40, 9)])
@pytest.mark.parametrize("pad", [(0, 0, 0), (0, 8, 8), (3, 1, 5)])
def test_a_constant_volume_comes_back_as_that_constant(shape, pad) -> None:
    voxels = np.full((1, *shape), 0.7, np.float32)
    np.testing.assert_allclose(predict(voxels, identity, make_plan(pad=pad)), 0.7, rtol=0, atol=1e-6)


@pytest.mark.parametrize("shape", RAGGED)
@pytest.mark.parametrize("overlap", [0.25, 0.5, 0.7])
def test_a_certain_network_is_certain_and_no_more(shape, overlap) -> None:
    plan = make_plan(overlap=overlap, activation="sigmoid", flip_axes=(0, 1, 2))
    certain = predict(np.ones((1, *shape), np.float32), lambda windows: 100 * windows, plan)
    assert certain.max() <= 1
    np.testing.assert_allclose(certain, 1, rtol=0, atol=1e-6)


@pytest.mark.parametrize("shape", [*RAGGED, (2, 5, 7)])
@pytest.mark.parametrize("pad", [(0, 0, 0), (2, 8, 3)])
def test_a_volume_of_coordinates_comes_back_as_itself(shape, pad) -> None:
    coordinates = np.indices(shape).astype(np.float32)  # (3, Z, Y, X)
    plan = make_plan(pad=pad, channels=3, flip_axes=(0, 1, 2))
    np.testing.assert_allclose(predict(coordinates, identity, plan), coordinates, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("blending", PROFILES)
@pytest.mark.parametrize(
    ("shape", "overlap"), [((9, 37, 50), 0.5), ((13, 17, 16), 0.25), ((5, 16, 33), 0.0), ((11, 20, 21), 0.7)]
)
@pytest.mark.parametrize("channels", [1, 3])
def test_the_stream_equals_the_plain_definition(blending, shape, overlap, channels, rng) -> None:
    voxels = rng.random((2, *shape), np.float32)
    forward = lopsided_network(2, channels)
    streamed = predict(
        voxels, forward, make_plan(overlap=overlap, blending=blending, channels=channels, activation="sigmoid")
    )
    plain = predict_plainly(voxels, forward, (4, 16, 16), overlap, blending)
    np.testing.assert_allclose(streamed, plain, rtol=0, atol=1e-5)


@pytest.mark.parametrize("ensemble", ["mean", "min", "max"])
@pytest.mark.parametrize("flip_axes", [(0, 1, 2), (1, 2), (0,)])
@pytest.mark.parametrize("batch", [1, 3, 16])
def test_views_equal_the_plain_definition(ensemble, flip_axes, batch, rng) -> None:
    voxels = rng.random((1, 7, 21, 18), np.float32)
    forward = lopsided_network(1, 2)
    plan = make_plan(batch=batch, channels=2, activation="sigmoid", flip_axes=flip_axes, ensemble=ensemble)
    plain = predict_plainly(voxels, forward, (4, 16, 16), 0.5, flip_axes=flip_axes, ensemble=ensemble)
    np.testing.assert_allclose(predict(voxels, forward, plan), plain, rtol=0, atol=1e-5)


@pytest.mark.parametrize("ensemble", ["mean", "min", "max"])
@pytest.mark.parametrize("window", [(4, 16, 16), (4, 16, 8)])
def test_quarter_turns_equal_the_plain_definition(ensemble, window, rng) -> None:
    voxels = rng.random((1, 6, 21, 18), np.float32)
    forward = lopsided_network(1, 1)
    plan = make_plan(window, activation="sigmoid", flip_axes=(0, 1, 2), turns=True, ensemble=ensemble)
    plain = predict_plainly(voxels, forward, window, 0.5, flip_axes=(0, 1, 2), ensemble=ensemble, quarters=(0, 1, 2, 3))
    np.testing.assert_allclose(predict(voxels, forward, plan), plain, rtol=0, atol=1e-5)


def test_windows_beside_each_other_see_the_other_half_of_the_views(rng) -> None:
    voxels = rng.random((1, 9, 37, 20), np.float32)
    forward = lopsided_network(1, 1)
    plan = make_plan(activation="sigmoid", flip_axes=(0, 1, 2), views_per_window=4)
    halves = [(), (0, 1), (0, 2), (1, 2)], [(0,), (1,), (2,), (0, 1, 2)]
    plain = predict_plainly(voxels, forward, (4, 16, 16), 0.5, flips_by_parity=halves)
    np.testing.assert_allclose(predict(voxels, forward, plan), plain, rtol=0, atol=1e-5)


def test_the_fast_preset_predicts_whole_planes_with_half_of_the_views(rng) -> None:
    voxels = rng.random((1, 9, 32, 48), np.float32)
    forward = lopsided_network(1, 1)
    plan = make_plan(activation="sigmoid", flip_axes=(1, 2), preset="fast")
    plain = predict_plainly(voxels, forward, (4, 32, 48), 0.5, flips_by_parity=([(), (1, 2)], [(1,), (2,)]))
    np.testing.assert_allclose(predict(voxels, forward, plan), plain, rtol=0, atol=1e-5)


@pytest.mark.parametrize("max_voxels", [4 * 16 * 16, 4 * 48 * 32, 10**9])
@pytest.mark.parametrize("shape", [*RAGGED, (5, 90, 130)])
def test_coordinates_come_back_from_the_fast_preset_too(max_voxels, shape) -> None:
    coordinates = np.indices(shape).astype(np.float32)
    plan = make_plan(channels=3, flip_axes=(0, 1, 2), preset="fast", max_voxels=max_voxels, pad=(0, 3, 3))
    np.testing.assert_allclose(predict(coordinates, identity, plan), coordinates, rtol=1e-6, atol=2e-6)


def test_each_part_of_the_fast_preset_is_set_alone() -> None:
    plan = make_plan(flip_axes=(0, 1, 2), preset="fast", whole_plane=False, views_per_window=8)
    exact = make_plan(flip_axes=(0, 1, 2))
    assert (plan.whole_plane, plan.views) == (exact.whole_plane, exact.views)
    assert make_plan(whole_plane=True).whole_plane


def test_blocks_and_whole_planes_exclude_each_other() -> None:
    with pytest.raises(ConfigError, match=r"inference\.block_size cuts planes"):
        make_plan(block=(250, 250), preset="fast")
    assert make_plan(block=(250, 250), preset="fast", whole_plane=False).block == (250, 250)


def test_a_batch_that_does_not_fit_is_halved_and_told(rng) -> None:
    voxels = rng.random((1, 9, 37, 20), np.float32)
    network, told = lopsided_network(1, 1), []

    def small(windows):
        if len(windows) > 2:
            raise torch.OutOfMemoryError("out of memory")
        return network(windows)

    plan = make_plan(batch=9, flip_axes=(0, 2))
    stream = predict_volume(ArraySource.of(voxels), AS_IT_IS, plan, [Lane(small, CPU)], on_notice=told.append)
    streamed = np.concatenate([sections.voxels for sections in stream], axis=1)
    np.testing.assert_allclose(streamed, predict(voxels, network, plan), rtol=0, atol=1e-5)
    assert told == [f"cpu is out of memory with sw_batch_size={n}; going on with {n // 2}" for n in (9, 4)]


def test_a_window_that_does_not_fit_alone_is_an_error_with_a_remedy() -> None:
    def full(windows):
        raise torch.OutOfMemoryError("out of memory")

    with pytest.raises(DeviceError, match=r"window of 4 x 16 x 16 voxels; lower inference.window.max_voxels"):
        predict(np.zeros((1, 4, 16, 16), np.float32), full, make_plan(batch=3))


@pytest.mark.parametrize("pad_mode", ["reflect", "replicate", "constant"])
def test_the_border_is_padded_as_the_settings_say(pad_mode, rng) -> None:
    voxels = rng.random((1, 7, 19, 20), np.float32)
    forward = lopsided_network(1, 1)
    plan = make_plan(pad=(2, 5, 6), pad_mode=pad_mode, activation="sigmoid")
    plain = predict_plainly(voxels, forward, (4, 16, 16), 0.5, pad=(2, 5, 6), pad_mode=pad_mode)
    np.testing.assert_allclose(predict(voxels, forward, plan), plain, rtol=0, atol=1e-5)


@pytest.mark.parametrize("beyond", ["reflect", "replicate", "constant"])
def test_a_window_larger_than_its_volume_sees_the_padding_of_the_settings(beyond, rng) -> None:
    voxels = rng.random((1, 6, 10, 10), np.float32)
    forward = lopsided_network(1, 1)
    plan = make_plan(window=(8, 16, 16), beyond=beyond, activation="sigmoid")
    plain = predict_plainly(voxels, forward, (8, 16, 16), 0.5, pad=(1, 3, 3), pad_mode=beyond)
    np.testing.assert_allclose(predict(voxels, forward, plan), plain, rtol=0, atol=1e-5)


def test_a_mirrored_volume_has_the_mirrored_prediction(rng) -> None:
    voxels = rng.random((1, 8, 32, 32), np.float32)
    forward, plan = lopsided_network(1, 1), make_plan(flip_axes=(0, 1, 2), activation="sigmoid")
    there = predict(voxels, forward, plan)
    back = predict(np.flip(voxels, (1, 2, 3)).copy(), forward, plan)
    np.testing.assert_allclose(np.flip(back, (1, 2, 3)), there, rtol=0, atol=1e-6)


@pytest.mark.parametrize("first_section", [1, 4, 7, 12])
@pytest.mark.parametrize("lanes", [1, 2, 3])
def test_neither_lanes_nor_the_first_section_change_a_bit(first_section, lanes, rng) -> None:
    voxels = rng.random((1, 13, 33, 20), np.float32)
    forward, plan = lopsided_network(1, 2), make_plan(channels=2, activation="softmax", flip_axes=(0, 2), overlap=0.7)
    whole = predict(voxels, forward, plan)
    rest = predict(voxels, forward, plan, lanes=lanes, first_section=first_section)
    np.testing.assert_array_equal(rest, whole[:, first_section:])


@pytest.mark.parametrize("block", [(10, 7), (50, 20), (16, 100)])
def test_blocks_of_a_plane_make_the_same_prediction(block, rng) -> None:
    voxels = rng.random((1, 9, 37, 50), np.float32)
    forward = lopsided_network(1, 2)
    settings = {"channels": 2, "activation": "sigmoid", "flip_axes": (0, 2), "pad": (1, 4, 3), "overlap": 0.6}
    pieced = np.full((2, 9, 37, 50), np.nan, np.float32)
    plan = make_plan(block=block, **settings)
    for sections in predict_volume(ArraySource.of(voxels), AS_IT_IS, plan, [Lane(forward, CPU)]):
        where = (slice(None), *sections.box.slices)
        assert np.isnan(pieced[where]).all()
        pieced[where] = sections.voxels
    np.testing.assert_allclose(pieced, predict(voxels, forward, make_plan(**settings)), rtol=0, atol=1e-6)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int16, np.float64, np.bool_, ">u2"])
def test_raw_voxels_are_scaled_on_the_device_as_everywhere(dtype, rng) -> None:
    voxels = rng.integers(0, 2 if dtype is np.bool_ else 200, (1, 6, 20, 17)).astype(dtype)
    intensity = IntensityRange(3.0, 180.0)
    np.testing.assert_array_equal(scale_on(CPU, voxels, intensity).numpy(), intensity.scale(voxels))


def test_black_beyond_the_border_is_the_darkest_grey_value(rng) -> None:
    voxels = rng.integers(50, 90, (1, 4, 16, 16)).astype(np.uint8)
    seen = []
    plan = make_plan(window=(4, 16, 32), pad=(0, 0, 8), pad_mode="constant")
    predict(voxels, lambda windows: seen.append(windows.clone()) or windows, plan, IntensityRange(60.0, 90.0))
    assert (seen[0][..., :8] == 0).all()
    assert (seen[0][..., -8:] == 0).all()


def test_progress_counts_every_window_once() -> None:
    told = []
    image = ArraySource.of(np.zeros((9, 37, 50), np.float32))
    list(predict_volume(image, AS_IT_IS, make_plan(flip_axes=(0,)), [Lane(identity, CPU)], lambda *n: told.append(n)))
    assert [done for done, _ in told] == sorted(done for done, _ in told)
    assert told[-1] == (4 * 4 * 6, 4 * 4 * 6)


def test_a_network_that_gives_nan_is_an_error_that_says_where() -> None:
    def broken(windows):
        return torch.where(windows == 500.0, torch.nan, windows)

    voxels = np.arange(6 * 16 * 16, dtype=np.float32).reshape(1, 6, 16, 16)
    with pytest.raises(PredictionError, match=r"nan at voxel \(z, y, x\) = \(1, 15, 4\) of array"):
        predict(voxels, broken, make_plan())


def test_a_network_that_gives_another_number_of_channels_is_refused() -> None:
    with pytest.raises(ValueError, match="the network gave"):
        predict(np.zeros((1, 4, 16, 16), np.float32), identity, make_plan(channels=2))


def test_an_image_that_cannot_be_read_ends_the_prediction() -> None:
    class Broken(ArraySource.__base__):
        info = ArraySource.of(np.zeros((12, 16, 16), np.uint8)).info

        def _read(self, box):
            if box.stop[0] > 8:
                raise OSError("bad sector")
            return np.zeros(box.shape, np.uint8)

    with pytest.raises(VolumeError, match="bad sector"):
        list(predict_volume(Broken(), AS_IT_IS, make_plan(), [Lane(identity, CPU)]))


def test_closing_the_stream_stops_the_lanes() -> None:
    calls = []
    image = ArraySource.of(np.zeros((400, 16, 16), np.float32))
    stream = predict_volume(image, AS_IT_IS, make_plan(), [Lane(lambda w: calls.append(1) or w, CPU)])
    next(stream)
    stream.close()
    assert len(calls) < 10
