"""What happens around a step: it is left out when it would spoil the weights, and the last one is validated."""

import math
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from torch import Tensor

from connectomics.runs.cli import main
from connectomics.training.checkpoints import is_finite
from connectomics.training.module import SegmentationModule
from tests.runs.reading import only_run, scalars


def spoil(monkeypatch: pytest.MonkeyPatch, batches: Callable[[int], bool]) -> None:
    """Make the image of some batches, counted from the start of the training, hold a NaN."""
    usual, seen = SegmentationModule.training_step, [0]

    def spoilt(self: SegmentationModule, batch: dict[str, Tensor], batch_idx: int) -> Tensor:
        if batches(seen[0]):
            batch["image"][0, 0, 0, 0, 0] = math.nan
        seen[0] += 1
        return usual(self, batch, batch_idx)

    monkeypatch.setattr(SegmentationModule, "training_step", spoilt)


def saved(folder: Path) -> dict[str, dict[str, Any]]:
    paths = (only_run(folder) / "checkpoints").glob("*.ckpt")
    return {path.name: torch.load(path, weights_only=True) for path in paths}


@pytest.mark.parametrize("accumulate", [1, 2])
def test_a_step_that_is_not_finite_changes_nothing_and_is_counted(
    small: Path, monkeypatch: pytest.MonkeyPatch, accumulate: int, capsys: pytest.CaptureFixture[str]
) -> None:
    more = [f"optimization.accumulate_grad_batches={accumulate}", "optimization.scheduler.params.t_max=6"]
    before: list[dict[str, Tensor]] = []

    class Watch(pl.Callback):
        def on_train_batch_end(self, trainer: pl.Trainer, module: Any, *_: Any) -> None:
            before.append({name: tensor.clone() for name, tensor in module.model.state_dict().items()})

    from connectomics.runs import train as training

    build = training.build_trainer

    def watched(*args: Any, **kwargs: Any) -> pl.Trainer:
        trainer = build(*args, **kwargs)
        trainer.callbacks.append(Watch())
        return trainer

    monkeypatch.setattr(training, "build_trainer", watched)
    spoil(monkeypatch, lambda batch: batch == 2 * accumulate)  # the first batch of the third step
    assert main(["--config", str(small), *more]) == 0
    second, third = before[2 * accumulate - 1], before[3 * accumulate - 1]
    for name, tensor in second.items():
        assert torch.equal(tensor, third[name]), name
    assert all(tensor.isfinite().all() for tensor in before[-1].values())
    assert all(is_finite(checkpoint) for checkpoint in saved(small.parent / "runs").values())
    assert list(scalars(only_run(small.parent / "runs"), "skipped_steps").values())[-1] == 1
    assert "1 skipped" in capsys.readouterr().out


def test_a_training_that_takes_no_step_any_more_says_why_and_names_a_good_checkpoint(
    small: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    spoil(monkeypatch, lambda batch: batch >= 10)
    long = ["optimization.max_steps=100", "optimization.max_skipped_steps=4", "system.seed=3"]
    assert main(["--config", str(small), *long]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    checkpoints = saved(small.parent / "runs")
    assert all(is_finite(checkpoint) for checkpoint in checkpoints.values())
    assert "the loss is nan at step 14" in line
    assert line.count(f"{small.parent}/im_train.h5") == 2  # a batch of two
    assert "grey values from" in line
    assert "good checkpoint is of step 9: " in line
    named = next(name for name in checkpoints if f"/{name}." in line)
    assert checkpoints[named]["global_step"] == 9
    assert checkpoints["last.ckpt"]["global_step"] == 9


@pytest.mark.parametrize("bad", [1, 2])
def test_a_training_that_ends_in_skipped_steps_does_not_end_well(
    small: Path, monkeypatch: pytest.MonkeyPatch, bad: int, capsys: pytest.CaptureFixture[str]
) -> None:
    spoil(monkeypatch, lambda batch: batch >= 6 - bad)
    assert main(["--config", str(small)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    last = saved(small.parent / "runs")["last.ckpt"]
    assert is_finite(last)
    assert f"good checkpoint is of step {last['global_step']}: " in line


def test_weights_that_are_not_finite_are_not_saved(
    small: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def spoil_weights(self: SegmentationModule) -> None:
        if self.trainer.global_step == 6:
            next(self.model.parameters()).data.fill_(math.nan)

    monkeypatch.setattr(SegmentationModule, "on_train_epoch_end", spoil_weights, raising=False)
    assert main(["--config", str(small)]) == 2
    assert "the weights are not finite at step 6" in capsys.readouterr().err
    last = saved(small.parent / "runs")["last.ckpt"]
    assert (last["global_step"], is_finite(last)) == (6, True), "from before the validation, when they were"


@pytest.mark.parametrize(("steps", "epoch", "validated"), [(2, 5, [1]), (7, 3, [2, 5, 6]), (6, 3, [2, 5]), (1, 1, [0])])
@pytest.mark.parametrize("accumulate", [1, 2])
def test_the_last_step_is_validated_once_and_ranks_checkpoints(
    small: Path, steps: int, epoch: int, validated: list[int], accumulate: int
) -> None:
    more = [f"optimization.max_steps={steps}", f"optimization.n_steps_per_epoch={epoch}"]
    more += [f"optimization.accumulate_grad_batches={accumulate}", "monitor.checkpoint.monitor=val_loss_total"]
    more += ["monitor.checkpoint.save_every_n_epochs=10", "monitor.checkpoint.checkpoint_filename='best-{step}'"]
    assert main(["--config", str(small), *more]) == 0
    run = only_run(small.parent / "runs")
    assert list(scalars(run, "val_loss_total")) == validated
    assert {path.name for path in (run / "checkpoints").iterdir()} == {"last.ckpt", f"best-{steps}.ckpt"}


@pytest.mark.parametrize("mode", ["min", "max"])
@pytest.mark.parametrize("top", [1, 2, -1])
def test_a_run_that_was_moved_keeps_its_best_checkpoints_and_no_more(small: Path, mode: str, top: int) -> None:
    more = ["optimization.n_steps_per_epoch=2", f"monitor.checkpoint.save_top_k={top}"]
    more += ["monitor.checkpoint.monitor=val_loss_total", f"monitor.checkpoint.mode={mode}"]
    more += ["monitor.checkpoint.checkpoint_filename='best-{step}'"]
    assert main(["--config", str(small), *more, "optimization.max_steps=6"]) == 0
    run = only_run(small.parent / "runs")
    moved = shutil.copytree(run, small.parent / "elsewhere" / "run")

    def go_on(folder: Path) -> dict[str, float]:
        last = folder / "checkpoints" / "last.ckpt"
        assert main(["--config", str(small), *more, "optimization.max_steps=12", "--checkpoint", str(last)]) == 0
        states = torch.load(last, weights_only=True)["callbacks"]
        state = next(state for key, state in states.items() if key.startswith("ModelCheckpoint"))
        best = {os.path.relpath(path, folder): float(score) for path, score in state["best_k_models"].items()}
        assert {str(path.relative_to(folder)) for path in folder.glob("checkpoints/best-*")} == set(best)
        assert Path(state["best_model_path"]).relative_to(folder)
        return best

    unmoved = go_on(run)
    shutil.rmtree(run)
    assert go_on(moved) == pytest.approx(unmoved)
    assert len(unmoved) == (top if top > 0 else 6)


def test_one_key_shortens_a_run(small: Path) -> None:
    assert main(["--config", str(small), "optimization.max_steps=4", "optimization.scheduler.min_lr=1e-6"]) == 0
    rates = torch.load(only_run(small.parent / "runs") / "checkpoints" / "last.ckpt", weights_only=True)
    assert rates["lr_schedulers"][0]["_last_lr"] == pytest.approx([1e-6, 1e-6])


def test_a_checkpoint_that_is_not_finite_is_not_gone_on_from(small: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--config", str(small)]) == 0
    last = only_run(small.parent / "runs") / "checkpoints" / "last.ckpt"
    checkpoint = torch.load(last, weights_only=True)
    next(iter(checkpoint["state_dict"].values())).fill_(math.nan)
    torch.save(checkpoint, last)
    capsys.readouterr()
    assert main(["--config", str(small), "--checkpoint", str(last), "optimization.max_steps=9"]) == 2
    assert f"--checkpoint {last} holds weights that are not finite" in capsys.readouterr().err
