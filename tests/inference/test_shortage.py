"""Too little memory is one line that names the setting to lower, and tensors stay small enough to be counted."""

import re

import numpy as np
import pytest
import torch

from connectomics.config import Config
from connectomics.config.model import ModelConfig, RSUNetConfig
from connectomics.errors import DeviceError
from connectomics.inference import Lane, predict_volume, rows, slabs
from connectomics.inference import plan as plans
from connectomics.inference import predict as prediction
from connectomics.inference.memory import SAYS_OUT_OF_MEMORY, is_out_of_memory
from connectomics.runs.cli import main
from connectomics.training.module import SegmentationModule
from connectomics.volumes.source import ArraySource
from tests.inference.conftest import AS_IT_IS, CPU, lopsided_network, make_plan, predict


@pytest.mark.parametrize("text", SAYS_OUT_OF_MEMORY)
def test_a_batch_is_halved_whatever_the_library_calls_it(text, rng) -> None:
    voxels, network, told = rng.random((1, 9, 37, 20), np.float32), lopsided_network(1, 1), []

    def small(windows):
        if len(windows) > 2:
            raise RuntimeError(f"cuDNN error: {text}")
        return network(windows)

    plan = make_plan(batch=4)
    stream = predict_volume(ArraySource.of(voxels), AS_IT_IS, plan, [Lane(small, CPU)], on_notice=told.append)
    found = np.concatenate([sections.voxels for sections in stream], axis=1)
    np.testing.assert_allclose(found, predict(voxels, network, plan), rtol=0, atol=1e-5)
    assert told == ["cpu is out of memory with sw_batch_size=4; going on with 2"]


def test_another_error_stays_what_it_is() -> None:
    def broken(windows):
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")

    with pytest.raises(RuntimeError, match="mat1 and mat2"):
        predict(np.zeros((1, 4, 16, 16), np.float32), broken, make_plan())
    assert not is_out_of_memory(RuntimeError("mat1 and mat2"))


@pytest.mark.parametrize("where", ["scale_on", "to_host"])
def test_a_slab_or_a_canvas_that_does_not_fit_is_told_with_the_setting(where, monkeypatch) -> None:
    def full(*_):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(prediction, where, full)
    message = "cpu has too little memory for 4 x 16 x 32 voxels .* set inference.block_size"
    with pytest.raises(DeviceError, match=message):
        predict(np.zeros((1, 4, 16, 32), np.float32), lopsided_network(1, 1), make_plan())


def test_the_weights_of_a_grid_are_moved_once_for_all_its_rows(monkeypatch, rng) -> None:
    moved, usual = [], torch.from_numpy
    monkeypatch.setattr(rows.torch, "from_numpy", lambda array: moved.append(array.ndim) or usual(array))
    monkeypatch.setattr(slabs, "torch", torch)
    predict(rng.random((1, 20, 37, 20), np.float32), lopsided_network(1, 1), make_plan())
    assert moved.count(2) == 3


def test_a_batch_is_split_where_its_largest_tensor_could_not_be_counted(monkeypatch, rng) -> None:
    voxels, network, sizes = rng.random((1, 9, 37, 20), np.float32), lopsided_network(1, 1), []
    plan = make_plan(batch=5, flip_axes=(0, 2))
    whole = predict(voxels, network, plan)
    monkeypatch.setattr(plans, "LARGEST_TENSOR", int(2.9 * 4 * 16 * 16 * plan.values_per_voxel))

    def measured(windows):
        sizes.append(len(windows))
        return network(windows)

    np.testing.assert_allclose(predict(voxels, measured, plan), whole, rtol=0, atol=1e-5)
    assert max(sizes) == 2


def test_the_tutorials_whole_planes_go_alone_and_its_windows_together() -> None:
    config = Config()
    config.inference.window.sw_batch_size = 4
    plan = plans.plan_inference(config.inference, config.data, config.model)
    assert plan.batch_of((18, 256, 256)) == 4
    assert plan.batch_of((18, 1312, 1312)) == 2  # 31 million voxels, 32 values each
    assert plan.batch_of((100, 4000, 4000)) == 1


def test_the_largest_tensor_is_that_of_the_widest_level() -> None:
    assert ModelConfig().values_per_voxel == 32
    halved = RSUNetConfig(input_pooling=(1, 2, 2), filters=[8, 64], down_factors=[(1, 1, 2)])
    assert halved.values_per_voxel == 64 / 8
    assert ModelConfig(out_channels=12, rsunet=halved).values_per_voxel == 12


def test_a_training_step_that_does_not_fit_is_one_line(small, monkeypatch, capsys) -> None:
    def full(self, batch, batch_idx):
        raise RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED")

    monkeypatch.setattr(SegmentationModule, "training_step", full)
    assert main(["--config", str(small)]) == 2
    told = capsys.readouterr().err
    assert re.search(r"training step with 2 patch\(es\) of 4 x 16 x 16 voxels; lower data.dataloader.batch_size", told)
    assert "Traceback" not in told
