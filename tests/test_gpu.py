"""What only a GPU can show: the whole journey, a resume, one process of several, and its arithmetic."""

from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch

from connectomics.config.model import ModelConfig
from connectomics.models import build_model
from connectomics.models.build import choose_memory_format
from connectomics.models.fold import fold_batch_norm
from connectomics.runs.cli import main
from connectomics.runs.network import forward_on
from connectomics.training import trainer as training
from connectomics.training.devices import Devices, begin_on
from tests.runs.reading import only_run

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")]

GPU = "system.num_gpus=1"


def test_a_network_trains_goes_on_and_is_tested(small: Path) -> None:
    assert main(["--config", str(small), GPU, "optimization.max_steps=3", "optimization.precision=bf16-mixed"]) == 0
    run = only_run(small.parent / "runs")
    last = run / "checkpoints" / "last.ckpt"
    assert main(["--config", str(small), GPU, "optimization.precision=bf16-mixed", "--checkpoint", str(last)]) == 0
    assert torch.load(last, weights_only=True)["global_step"] == 6
    assert main(["--config", str(small), GPU, "--mode", "test", "--checkpoint", str(last)]) == 0
    assert (run / "results" / "metrics.json").exists()


def test_a_demo_of_the_phantom_goes_through(tmp_path: Path) -> None:
    quick = ["optimization.max_steps=4", "optimization.n_steps_per_epoch=2", "optimization.ema.warmup_steps=1"]
    assert main(["--demo", GPU, f"save_path={tmp_path}", *quick]) == 0


@pytest.mark.filterwarnings("ignore:It is recommended to use")  # Lightning of what one process need not share
def test_one_process_of_several_trains(small: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usual = pl.Trainer

    def distributed(**options: Any) -> pl.Trainer:
        return usual(**options | {"strategy": "ddp"})

    monkeypatch.setattr(training.pl, "Trainer", distributed)
    try:
        assert main(["--config", str(small), GPU]) == 0
    finally:
        if torch.distributed.is_initialized():
            torch.distributed.destroy_process_group()


@pytest.mark.parametrize("norm", ["batch", "instance"])
def test_bf16_lies_near_float32(norm: str) -> None:
    begin_on(Devices("gpu", 1), "32-true")  # torch itself would take TF32
    torch.manual_seed(0)
    config = ModelConfig()
    config.rsunet.norm = norm  # type: ignore[assignment]
    device, window = torch.device("cuda"), torch.rand(1, 1, 18, 128, 128)
    built, form = build_model(config, on_gpu=True), choose_memory_format(config, on_gpu=True)
    with torch.no_grad():
        for _ in range(20):  # the statistics of its norms become those of such windows
            built(torch.rand(1, 1, 4, 64, 64))
    model = fold_batch_norm(built)
    begin_on(Devices("gpu", 1), "32-true")
    exact, rounded = (
        forward_on(device, model, form, precision, False)(window.to(device)).cpu()
        for precision in ("32-true", "bf16-mixed")
    )
    here = forward_on(torch.device("cpu"), model, form, "32-true", False)(window)
    size = float(here.square().mean().sqrt())
    assert float((exact - here).square().mean().sqrt()) < 1e-4 * size
    assert float((rounded - exact).square().mean().sqrt()) < 0.08 * size
