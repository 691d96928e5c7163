"""A resumed training follows the settings it is given, from its first step, or names the one that cannot change."""

import shutil
import signal
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
import yaml
from torch import nn

from connectomics.config import load_config
from connectomics.runs import train as training
from connectomics.runs.cli import main
from connectomics.training.ema import WeightAverage
from connectomics.training.optimizers import OPTIMIZERS, build_optimizer, build_scheduler
from tests.runs.reading import only_run, scalars

SAVED_AT = 4  # in the second epoch of three steps


@dataclass
class Spy(pl.Callback):
    """What the first step of a training is taken with."""

    facts: dict[str, Any] = field(default_factory=dict)

    def on_train_batch_start(self, trainer: pl.Trainer, pl_module: Any, batch: Any, batch_idx: int) -> None:
        if self.facts:
            return
        groups = trainer.optimizers[0].param_groups
        loader = trainer.train_dataloader
        self.facts = {
            "groups": [{k: v for k, v in group.items() if k != "params"} for group in groups],
            "moments": len(trainer.optimizers[0].state),
            "step": trainer.global_step,
            "max_steps": trainer.max_steps,
            "clip": trainer.gradient_clip_val,
            "accumulate": trainer.accumulate_grad_batches,
            "precision": trainer.precision,
            "batches": trainer.num_training_batches,
            "batch": tuple(batch["image"].shape),
            "image": float(batch["image"].double().sum()),
            "seed": loader.dataset.seed,
            "augmentation": repr(loader.dataset.augmentation),
            "criterion": [[b.tolist() for b in loss.buffers()] for loss in pl_module.criterion.losses],
            "weights": list(pl_module.criterion.weights),
            "callbacks": {type(c).__name__: _plain(c) for c in trainer.callbacks},
        }


def _plain(callback: pl.Callback) -> dict[str, Any]:
    return {
        name: value
        for name, value in vars(callback).items()
        if isinstance(value, int | float | str | type(None)) or name == "_config"
    }


@pytest.fixture
def stopped(small: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    """Return the settings, and a checkpoint of step 4 in the midst of an epoch."""
    settings = yaml.safe_load(small.read_text())
    settings["train"]["optimization"]["max_steps"] = 8
    small.write_text(yaml.safe_dump(settings))
    with monkeypatch.context() as patch:
        _interrupt_at(patch, SAVED_AT)
        assert main(["--config", str(small)]) == 128 + 2
    last = only_run(small.parent / "runs") / "checkpoints" / "last.ckpt"
    return small, shutil.copy(last, last.with_name("stopped.ckpt"))


def first_step(small: Path, monkeypatch: pytest.MonkeyPatch, *arguments: str) -> dict[str, Any]:
    spy, build = Spy(), training.build_trainer

    def spied(*args: Any, **kwargs: Any) -> pl.Trainer:
        trainer = build(*args, **kwargs)
        trainer.callbacks.append(spy)
        return trainer

    with monkeypatch.context() as patch:
        patch.setattr(training, "build_trainer", spied)
        assert main(["--config", str(small), *arguments]) == 0
    return spy.facts


FOLLOWED = [
    ("groups", "optimization.optimizer.lr=2e-4"),
    ("groups", "optimization.optimizer.weight_decay=0.3"),
    ("groups", "optimization.optimizer.betas=[0.8,0.9]"),
    ("groups", "optimization.optimizer.eps=1e-5"),
    ("groups", "optimization.scheduler.min_lr=5e-4"),
    ("groups", "optimization.scheduler.name=ConstantLR"),
    ("groups", "optimization.scheduler.interval=epoch"),
    ("groups", "optimization.scheduler.params.t_max=40"),
    ("groups", "optimization.max_steps=10"),
    ("max_steps", "optimization.max_steps=10"),
    ("clip", "optimization.gradient_clip_val=0.25"),
    ("accumulate", "optimization.accumulate_grad_batches=2"),
    ("precision", "optimization.precision=bf16-mixed"),
    ("batches", "optimization.n_steps_per_epoch=4"),
    ("batches", "optimization.n_steps_per_epoch=1"),
    ("batch", "data.dataloader.batch_size=3"),
    ("batch", "data.dataloader.patch_size=[2,16,16]"),
    ("seed", "system.seed=9"),
    ("image", "system.seed=9"),
    ("image", "data.image_transform.clip_percentile_low=0.2"),
    ("augmentation", "data.augmentation.flip.enabled=true"),
    ("weights", "model.loss.losses.0.weight=3"),
    ("criterion", "model.loss.losses.0.kwargs={pos_weight: 7}"),
    ("callbacks", "optimization.ema.decay=0.9"),
    ("callbacks", "optimization.ema.warmup_steps=30"),
    ("callbacks", "optimization.ema.enabled=false"),
    ("callbacks", "optimization.max_skipped_steps=3"),
    ("callbacks", "monitor.checkpoint.save_top_k=1"),
    ("callbacks", "monitor.checkpoint.save_every_n_epochs=2"),
    ("callbacks", "monitor.early_stopping.enabled=true"),
]


@pytest.mark.parametrize(("fact", "change"), FOLLOWED, ids=[change for _, change in FOLLOWED])
def test_a_changed_setting_holds_from_the_first_resumed_step(
    stopped: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch, fact: str, change: str
) -> None:
    small, last = stopped
    arguments = ["--checkpoint", str(last)]
    same = first_step(small, monkeypatch, *arguments)
    changed = first_step(small, monkeypatch, *arguments, change)
    assert changed["step"] == same["step"] == SAVED_AT
    assert changed["moments"] == same["moments"] > 0
    assert changed[fact] != same[fact]
    config = load_config(small, [change])
    optimizer = build_optimizer(nn.Sequential(nn.Conv3d(1, 1, 3), nn.BatchNorm3d(1)), config.optimization.optimizer)
    scheduler = build_scheduler(optimizer, config.optimization)
    for _ in range(SAVED_AT if config.optimization.scheduler.interval == "step" else 1):
        optimizer.step()
        scheduler.step()
    wanted = [{k: v for k, v in group.items() if k != "params"} for group in optimizer.param_groups]
    for ours, theirs in zip(changed["groups"], wanted, strict=True):
        assert ours.pop("lr") == pytest.approx(theirs.pop("lr"), rel=1e-9)
        assert ours == theirs
    written = load_config(last.parent.parent / f"config_from_step_{SAVED_AT}.yaml", mode="train")
    assert written.optimization == config.optimization
    assert scalars(last.parent.parent, "train_loss_total_step").keys() >= set(range(8))


def test_an_average_can_be_begun_later(small: Path) -> None:
    assert main(["--config", str(small), "optimization.ema.enabled=false"]) == 0
    last = only_run(small.parent / "runs") / "checkpoints" / "last.ckpt"
    assert main(["--config", str(small), "--checkpoint", str(last), "optimization.max_steps=9"]) == 0
    checkpoint = torch.load(last, weights_only=True)
    assert checkpoint["ema"]["steps"] == 9


@pytest.mark.parametrize(("finished", "epoch"), [(4, 3), (2, 5), (3, 3)])
@pytest.mark.parametrize("early", ["false", "true"])
def test_a_finished_training_is_made_longer(small: Path, tmp_path: Path, finished: int, epoch: int, early: str) -> None:
    common = [f"optimization.n_steps_per_epoch={epoch}", "optimization.scheduler.params.t_max=7",
              f"monitor.early_stopping.enabled={early}"]  # fmt: skip
    whole, longer = tmp_path / "whole", tmp_path / "longer"
    seven = [*common, "optimization.max_steps=7"]
    assert main(["--config", str(small), *seven, f"save_path={whole}"]) == 0
    short = [*common, f"optimization.max_steps={finished}", f"save_path={longer}"]
    assert main(["--config", str(small), *short]) == 0
    last = only_run(longer) / "checkpoints" / "last.ckpt"
    assert main(["--config", str(small), *seven, "--checkpoint", str(last)]) == 0
    losses = [scalars(only_run(folder), "train_loss_total_step") for folder in (longer, whole)]
    assert losses[0] == losses[1]
    ours, theirs = (
        torch.load(only_run(folder) / "checkpoints" / "last.ckpt", weights_only=True) for folder in (longer, whole)
    )
    for name, tensor in theirs["state_dict"].items():
        assert torch.equal(ours["state_dict"][name], tensor), name
    assert {6} <= scalars(only_run(longer), "val_loss_total").keys()


@pytest.mark.parametrize("change", ["optimization.optimizer.name=Adam", "optimization.optimizer.params.amsgrad=true",
                                    "optimization.max_steps=3", "model.rsunet.filters=[4,12]"])  # fmt: skip
def test_what_cannot_change_is_refused_by_its_key(
    stopped: tuple[Path, Path], change: str, capsys: pytest.CaptureFixture[str]
) -> None:
    small, last = stopped
    capsys.readouterr()
    assert main(["--config", str(small), "--checkpoint", str(last), change]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert change.partition("=")[0] in line
    assert not (last.parent.parent / f"config_from_step_{SAVED_AT}.yaml").exists()


def test_the_momentum_of_an_optimizer_follows(small: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(OPTIMIZERS, "SGD", torch.optim.SGD)  # type: ignore[misc]
    sgd = "optimization.optimizer.name=SGD"
    assert main(["--config", str(small), sgd, "optimization.optimizer.params={momentum: 0.9}"]) == 0
    last = only_run(small.parent / "runs") / "checkpoints" / "last.ckpt"
    changed = [sgd, "optimization.optimizer.params={momentum: 0.5}", "optimization.max_steps=9"]
    facts = first_step(small, monkeypatch, "--checkpoint", str(last), *changed)
    assert [group["momentum"] for group in facts["groups"]] == [0.5, 0.5]


def _interrupt_at(patch: pytest.MonkeyPatch, step: int) -> None:
    """Send the process a Ctrl-C when an optimizer step has been taken."""
    usual = WeightAverage.on_train_batch_end

    def and_interrupt(self: Any, trainer: pl.Trainer, *arguments: Any) -> None:
        usual(self, trainer, *arguments)
        if trainer.global_step == step:
            signal.raise_signal(signal.SIGINT)

    patch.setattr(WeightAverage, "on_train_batch_end", and_interrupt)
