"""Batch norm over several devices, steps of the same size on any number of them, and a network that is compiled."""

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch._dynamo.exc import TorchDynamoException

from connectomics.config import load_config
from connectomics.errors import ConfigError, DeviceError
from connectomics.runs.cli import main
from connectomics.training.devices import Devices, require_sync
from tests.building import data_of, module_of, trainer_of


@pytest.mark.parametrize("processes", [1, 2, 3])
def test_a_step_takes_the_global_batch_on_any_number_of_devices(small: Path, processes: int) -> None:
    changes = ["data.dataloader.global_batch=12", f"system.num_processes={processes}"]
    config = load_config(small, changes)
    accumulated = module_of(config).learning.optimization.accumulate_grad_batches
    assert accumulated * processes * config.data.dataloader.batch_size == 12
    if processes == 1:
        assert trainer_of(config, Path("checkpoints"), Path("logs")).accumulate_grad_batches == 6
        assert len(data_of(config).train_dataloader()) == 6 * config.optimization.n_steps_per_epoch


def test_a_global_batch_that_the_devices_cannot_share_is_refused(small: Path) -> None:
    with pytest.raises(ConfigError, match=r"null or a multiple of data\.dataloader\.batch_size"):
        load_config(small, ["data.dataloader.global_batch=3"])
    with pytest.raises(ConfigError, match=r"global_batch is 6; it must be a multiple of 4, what 2 x cpu take"):
        module_of(load_config(small, ["data.dataloader.global_batch=6", "system.num_processes=2"]))


def test_a_training_with_a_global_batch_goes_on_as_it_began(small: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["--config", str(small), "data.dataloader.global_batch=4"]
    assert main([*arguments, "optimization.max_steps=3"]) == 0
    assert main([*arguments, "--resume", "auto"]) == 0
    assert "trained 6 steps" in capsys.readouterr().out


def test_batch_norm_over_devices_needs_gpus() -> None:
    require_sync(Devices("gpu", 4), synchronised=True)
    require_sync(Devices("cpu", 1), synchronised=True)
    with pytest.raises(ConfigError, match=r"model\.sync_batchnorm is true, which needs GPUs"):
        require_sync(Devices("cpu", 2), synchronised=True)


def test_lightning_is_told_to_synchronise_where_there_are_several_gpus(
    small: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = {}
    monkeypatch.setattr("pytorch_lightning.Trainer", lambda **given: told.update(given))
    for wanted, count in ((True, 2), (True, 1), (False, 2)):
        config = load_config(small, [f"model.sync_batchnorm={str(wanted).lower()}", f"system.num_processes={count}"])
        trainer_of(config, Path("checkpoints"), Path("logs"))
        assert told["sync_batchnorm"] is (wanted and count == 2)


def test_the_network_in_training_is_compiled_only_when_the_settings_say_so(
    small: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    compiled: list[nn.Module] = []
    monkeypatch.setattr(nn.Module, "compile", lambda self: compiled.append(self))
    module_of(load_config(small))
    assert not compiled
    module = module_of(load_config(small, ["optimization.compile=true"]))
    assert compiled == [module.model]

    def fail(image: Tensor) -> Tensor:
        raise TorchDynamoException("No working C++ compiler found")

    monkeypatch.setattr(module.model, "forward", fail)
    with pytest.raises(DeviceError, match=r"optimization\.compile is true, but this machine cannot compile"):
        module(torch.zeros(1, 1, 4, 16, 16))
