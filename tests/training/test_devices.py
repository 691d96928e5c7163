"""What a run asks of its GPUs, seen without one: torch is told what to answer."""

import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from connectomics.config import Config
from connectomics.data.learning_sources import LearningSources
from connectomics.errors import ConfigError
from connectomics.runs.cli import main
from connectomics.runs.training_job import build_data
from connectomics.training.devices import Devices, begin_on, cudnn_remark, require_precision
from connectomics.training.module import SegmentationModule

GPU, CPU = Devices("gpu", 2), Devices("cpu", 1)


@pytest.fixture
def pretend(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Make torch believe in two GPUs."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "device", lambda index: torch.autograd.profiler.record_function(str(index)))
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda *index: "Tesla V100")
    return monkeypatch


@pytest.fixture(autouse=True)
def arithmetic_put_back() -> Iterator[None]:
    before = torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32
    yield
    torch.set_float32_matmul_precision(before[0])
    torch.backends.cudnn.allow_tf32 = before[1]


def test_bf16_that_a_gpu_only_imitates_is_refused_with_what_to_take(pretend: pytest.MonkeyPatch) -> None:
    pretend.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation=True: including_emulation)
    with pytest.raises(ConfigError, match=r"key is 'bf16-mixed', which Tesla V100 .* take '16-mixed' or '32-true'"):
        require_precision(GPU, "bf16-mixed", "key")
    for precision in ("16-mixed", "32-true"):
        require_precision(GPU, precision, "key")
    require_precision(CPU, "bf16-mixed", "key")


def test_bf16_of_the_hardware_is_taken(pretend: pytest.MonkeyPatch) -> None:
    pretend.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation=True: True)
    require_precision(GPU, "bf16-mixed", "key")


@pytest.mark.parametrize(("version", "faulty"), [(90701, False), (90800, True), (91002, True), (91400, True),
                                                 (91500, False), (None, False)])  # fmt: skip
def test_a_cudnn_that_is_at_fault_with_16_bits_is_told(
    pretend: pytest.MonkeyPatch, version: int | None, faulty: bool
) -> None:
    pretend.setattr(torch.backends.cudnn, "version", lambda: version)
    assert (begin_on(GPU, "bf16-mixed") is not None) == faulty
    assert begin_on(GPU, "32-true") is None
    assert begin_on(CPU, "bf16-mixed") is None


@pytest.mark.parametrize(("torch_version", "what"), [("2.8.0+cu128", "can come out wrong"), ("2.10.0", "are slow")])
def test_what_goes_wrong_depends_on_torch(pretend: pytest.MonkeyPatch, torch_version: str, what: str) -> None:
    pretend.setattr(torch.backends.cudnn, "version", lambda: 91002)
    pretend.setattr(torch, "__version__", torch_version)
    remark = cudnn_remark()
    assert remark is not None
    assert what in remark
    assert f"cuDNN 9.10 and torch {torch_version}" in remark
    assert "\n" not in remark


@pytest.mark.parametrize("devices", [GPU, CPU])
def test_float32_is_float32(devices: Devices, pretend: pytest.MonkeyPatch) -> None:
    pretend.setattr(torch.backends.cudnn, "version", lambda: None)
    torch.set_float32_matmul_precision("high")
    torch.backends.cudnn.allow_tf32 = True
    begin_on(devices, "32-true")
    assert torch.get_float32_matmul_precision() == "highest"
    assert not torch.backends.cudnn.allow_tf32


def test_torch_2_9_is_not_installed() -> None:
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text(encoding="utf-8"))
    assert "torch>=2.5,!=2.9.*" in project["project"]["dependencies"]


@pytest.mark.parametrize(("num_gpus", "pinned"), [(0, False), (-1, True), (1, True)])
def test_memory_is_pinned_only_where_a_gpu_is_used(pretend: pytest.MonkeyPatch, num_gpus: int, pinned: bool) -> None:
    config = Config()
    config.system.num_gpus, config.system.num_workers = num_gpus, 0
    options: dict[str, Any] = build_data(config, LearningSources((), ()))._loader_options(most=1)
    assert options["pin_memory"] == pinned


def test_no_number_is_copied_to_the_device_to_be_logged_at_each_step(
    small: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    logged, usual = {}, SegmentationModule.log

    def log(self: SegmentationModule, name: str, value: Any, **options: Any) -> None:
        logged[name] = value
        usual(self, name, value, **options)

    monkeypatch.setattr(SegmentationModule, "log", log)
    assert main(["--config", str(small)]) == 0
    each_step = ["learning_rate", "skipped_steps", "train_loss_total_step"]
    assert all(isinstance(logged[name], torch.Tensor) for name in each_step)
