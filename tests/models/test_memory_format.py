import pytest
import torch

from connectomics.config import Config
from connectomics.config.model import ModelConfig, RSUNetConfig
from connectomics.models.build import build_model, choose_memory_format
from connectomics.runs import training_job
from connectomics.training.devices import Devices
from tests.building import module_of

LAST, FIRST = torch.channels_last_3d, torch.contiguous_format


@pytest.mark.parametrize("norm", ["batch", "none", "instance", "group"])
@pytest.mark.parametrize("on_gpu", [False, True])
def test_norms_that_are_slow_in_channels_last_on_a_gpu_get_the_other_order(norm, on_gpu) -> None:
    config = ModelConfig(rsunet=RSUNetConfig(norm=norm))
    slow = on_gpu and norm in ("instance", "group")
    assert choose_memory_format(config, on_gpu) == (FIRST if slow else LAST)
    for named, form in {"channels_last_3d": LAST, "contiguous": FIRST}.items():
        asked = ModelConfig(rsunet=RSUNetConfig(norm=norm), memory_format=named)
        assert choose_memory_format(asked, on_gpu) == form


@pytest.mark.parametrize("accelerator", ["cpu", "gpu"])
def test_weights_and_images_of_a_training_lie_in_the_same_order(accelerator, monkeypatch) -> None:
    monkeypatch.setattr(training_job, "choose_devices", lambda system: Devices(accelerator, 1))
    config = Config()
    config.model.rsunet = RSUNetConfig(filters=[4, 8], down_factors=[(1, 2, 2)], norm="instance")
    built = module_of(config)
    form = FIRST if accelerator == "gpu" else LAST
    assert built.memory_format == form
    kernels = [p for p in built.model.parameters() if p.ndim == 5 and min(p.shape[1], p.shape[2:].numel()) > 1]
    assert kernels
    assert all(kernel.is_contiguous(memory_format=form) for kernel in kernels)


def test_the_order_changes_no_result() -> None:
    config = ModelConfig(rsunet=RSUNetConfig(filters=[4, 8], down_factors=[(1, 2, 2)], norm="group", num_groups=2))
    image, found = torch.rand(1, 1, 4, 16, 16), []
    for on_gpu in (False, True):
        torch.manual_seed(0)
        model = build_model(config, on_gpu)
        found.append(model(image.contiguous(memory_format=choose_memory_format(config, on_gpu))))
    torch.testing.assert_close(found[0], found[1])
