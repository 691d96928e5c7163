"""A training that is broken off anywhere, by a signal or a kill, goes on as if it had not been."""

import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from connectomics.runs.cli import main
from connectomics.training.module import SegmentationModule
from tests.runs.reading import only_run, scalars
from tests.runs.same_training import differences

SHORT = ["optimization.n_steps_per_epoch=2", "optimization.max_steps=5", "monitor.checkpoint.monitor=val_loss_total",
         "data.dataloader.max_val_patches=6"]  # fmt: skip


class Killed(BaseException):
    pass


def kill() -> None:
    raise Killed


def ask(signum: signal.Signals = signal.SIGTERM) -> None:
    signal.raise_signal(signum)


def train(small: Path, name: str, *more: str) -> int:
    return main(["--config", str(small), *SHORT, f"save_path={small.parent / name}", *more])


def at_batch(patch: pytest.MonkeyPatch, kind: str, number: int, act: Callable[[], None]) -> None:
    """Do something in a batch of `training_step` or `validation_step`; they are counted from the start."""
    usual, seen = getattr(SegmentationModule, kind), [0]

    def step(self: SegmentationModule, batch: dict[str, Tensor], batch_idx: int) -> Any:
        if not self.trainer.sanity_checking:
            seen[0] += 1
            if seen[0] - 1 == number:
                act()
        return usual(self, batch, batch_idx)

    patch.setattr(SegmentationModule, kind, step)


def last_of(folder: Path) -> dict[str, Any]:
    return torch.load(only_run(folder) / "checkpoints" / "last.ckpt", weights_only=True)


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Return the run that was never broken off, by its settings; each is trained once, on volumes of its own."""
    from tests.small_run import write_settings

    runs: dict[tuple[str, ...], Path] = {}

    def find(*more: str) -> Path:
        if more not in runs:
            small = write_settings(tmp_path_factory.mktemp("unbroken"))
            assert train(small, "whole", *more) == 0
            runs[more] = only_run(small.parent / "whole")
        return runs[more]

    return find


@pytest.mark.parametrize("batch", [1, 3, 5, 6])
def test_a_step_of_several_batches_is_not_waited_for_and_begins_again(
    small: Path, unbroken: Callable[..., Path], batch: int, capsys: pytest.CaptureFixture[str]
) -> None:
    more = ["optimization.accumulate_grad_batches=3", "monitor.checkpoint.save_last=false"]
    with pytest.MonkeyPatch.context() as patch:
        at_batch(patch, "training_step", batch, ask)
        assert train(small, "broken", *more) == 143
    done = (batch + 1) // 3
    said = capsys.readouterr().err.splitlines()[-1]
    if done == 0:
        assert said == "stopped by SIGTERM before a step was complete; the same command begins again"
        assert not list((small.parent / "broken").rglob("*.ckpt"))
    else:
        assert last_of(small.parent / "broken")["global_step"] == done
    assert train(small, "broken", *more, "--resume", "auto") == 0
    resumed = max((small.parent / "broken").glob("*/checkpoints")).parent
    assert differences(resumed, unbroken(*more)) == []


@pytest.mark.parametrize(("act", "batch"), [(ask, 1), (kill, 3), (kill, 6), (ask, 7), (ask, 8)])
def test_a_validation_that_is_broken_off_begins_again_and_nothing_before_it(
    small: Path, unbroken: Callable[..., Path], act: Callable[[], None], batch: int
) -> None:
    """Each of the three validations, the last one of a short epoch, has three batches."""
    with pytest.MonkeyPatch.context() as patch:
        at_batch(patch, "validation_step", batch, act)
        if act is kill:
            with pytest.raises(Killed):
                train(small, "broken")
        else:
            assert train(small, "broken") == 143
    assert last_of(small.parent / "broken")["global_step"] == min(2 * (batch // 3 + 1), 5)
    trained: list[int] = []
    with pytest.MonkeyPatch.context() as patch:
        at_batch(patch, "training_step", 0, lambda: trained.append(1))
        assert train(small, "broken", "--resume", "auto") == 0
    assert bool(trained) == (batch < 6), "nothing is trained when only the last validation is missing"
    assert differences(only_run(small.parent / "broken"), unbroken()) == []


@pytest.mark.parametrize("validation", [1, 2, 3])
def test_what_follows_a_validation_that_began_again_may_be_broken_off_as_well(
    small: Path, unbroken: Callable[..., Path], validation: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each try is killed: in the validation, again there, and right behind the checkpoint of the epoch's end."""
    from connectomics.training.interruption import SaveOnInterrupt

    for batch in (3 * validation - 1, 1):
        with monkeypatch.context() as patch:
            at_batch(patch, "validation_step", batch, kill)
            with pytest.raises(Killed):
                train(small, "broken", "--resume", "auto")
    with monkeypatch.context() as patch:
        patch.setattr(SaveOnInterrupt, "on_train_epoch_end", lambda *_: kill())
        with pytest.raises(Killed):
            train(small, "broken", "--resume", "auto")
    assert train(small, "broken", "--resume", "auto") == 0
    assert differences(only_run(small.parent / "broken"), unbroken()) == []


@pytest.mark.parametrize("batch", [1, 3])
def test_it_is_saved_by_time_and_a_kill_costs_no_more_than_that(
    small: Path, unbroken: Callable[..., Path], batch: int
) -> None:
    often = "monitor.checkpoint.save_every_minutes=1e-9"
    with pytest.MonkeyPatch.context() as patch:
        at_batch(patch, "training_step", batch, kill)
        with pytest.raises(Killed):
            train(small, "broken", often)
    assert last_of(small.parent / "broken")["global_step"] == batch
    assert train(small, "broken", often, "--resume", "auto") == 0
    assert differences(only_run(small.parent / "broken"), unbroken()) == []


@pytest.mark.parametrize("minutes", ["null", "10"])
def test_it_is_not_saved_by_time_when_that_is_off_or_not_yet_due(small: Path, minutes: str) -> None:
    with pytest.MonkeyPatch.context() as patch:
        at_batch(patch, "training_step", 1, kill)
        with pytest.raises(Killed):
            train(small, "broken", f"monitor.checkpoint.save_every_minutes={minutes}")
    assert not list((small.parent / "broken").rglob("*.ckpt"))


@pytest.mark.parametrize(
    ("first", "again"),
    [(signal.SIGTERM, signal.SIGTERM), (signal.SIGUSR1, signal.SIGINT), (signal.SIGINT, signal.SIGINT)],
)
def test_a_second_signal_does_not_lose_what_is_being_saved(
    small: Path, unbroken: Callable[..., Path], first: signal.Signals, again: signal.Signals
) -> None:
    usual = torch.save

    def asked_again(*arguments: Any) -> None:
        usual(*arguments)
        ask(again)

    with pytest.MonkeyPatch.context() as patch:
        at_batch(patch, "training_step", 0, lambda: ask(first))
        patch.setattr(torch, "save", asked_again)
        assert train(small, "broken") == (130 if again == signal.SIGINT else 143)
    assert last_of(small.parent / "broken")["global_step"] == 1
    assert train(small, "broken", "--resume", "auto") == 0
    assert differences(only_run(small.parent / "broken"), unbroken()) == []


def test_a_second_ctrl_c_ends_at_once_with_the_same_status(small: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def press_twice() -> None:
        ask(signal.SIGINT)
        ask(signal.SIGINT)

    with pytest.MonkeyPatch.context() as patch:
        at_batch(patch, "training_step", 1, press_twice)
        assert train(small, "broken") == 130
    assert capsys.readouterr().err.splitlines()[-1] == "stopped"
    assert not list((small.parent / "broken").rglob("*.ckpt"))


def test_a_resumed_training_that_is_stopped_before_its_first_step_names_what_it_went_on_from(
    small: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train(small, "runs", "optimization.max_steps=3") == 0
    last = only_run(small.parent / "runs") / "checkpoints" / "last.ckpt"
    before = last.read_bytes()
    from connectomics.training.saving import SaveLast

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(SaveLast, "setup", lambda self, trainer, module, stage: ask(signal.SIGUSR1))
        assert train(small, "runs", "--resume", "auto") == 143
    assert capsys.readouterr().err.splitlines()[-1].endswith(f"go on with --checkpoint {last}")
    assert last.read_bytes() == before


def test_a_trial_that_is_stopped_writes_nothing(small: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        at_batch(patch, "training_step", 0, ask)
        assert train(small, "runs", "--fast-dev-run", "3") == 143
    assert not (small.parent / "runs").exists()
    assert "--checkpoint" not in capsys.readouterr().err


def test_a_validation_is_logged_once(small: Path) -> None:
    with pytest.MonkeyPatch.context() as patch:
        at_batch(patch, "validation_step", 4, ask)
        assert train(small, "runs") == 143
    assert train(small, "runs", "--resume", "auto") == 0
    assert list(scalars(only_run(small.parent / "runs"), "val_loss_total")) == [1, 3, 4]
