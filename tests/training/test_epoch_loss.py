"""What is logged of an epoch and ranks checkpoints: not spoilt by a skipped step, and the same after a resume."""

import math
from pathlib import Path

import pytest
import torch

from connectomics.runs.cli import main
from tests.runs.reading import only_run, scalars
from tests.training.test_steps import spoil

TAGS = ("train_loss_total_step", "train_loss_total_epoch", "val_loss_total")


@pytest.mark.parametrize("accumulate", [1, 2])
def test_a_skipped_batch_leaves_the_mean_of_the_others(
    small: Path, monkeypatch: pytest.MonkeyPatch, accumulate: int
) -> None:
    spoil(monkeypatch, lambda batch: batch == accumulate)  # the first batch of the second step
    assert main(["--config", str(small), f"optimization.accumulate_grad_batches={accumulate}"]) == 0
    run = only_run(small.parent / "runs")
    epochs = scalars(run, "train_loss_total_epoch")
    assert all(math.isfinite(loss) for loss in epochs.values())
    if accumulate == 1:
        steps = scalars(run, "train_loss_total_step")
        assert epochs[2] == pytest.approx((steps[0] + steps[2]) / 2, rel=1e-6)
    assert not list((run / "checkpoints").glob("*nan*"))


@pytest.mark.parametrize("accumulate", [1, 2])
@pytest.mark.parametrize(("end", "epoch"), [(2, 3), (3, 3), (4, 3), (7, 3), (1, 1)])
def test_a_training_made_longer_is_the_unbroken_one_in_weights_and_log(
    small: Path, tmp_path: Path, end: int, epoch: int, accumulate: int
) -> None:
    common = ["optimization.scheduler.params.t_max=9", f"optimization.n_steps_per_epoch={epoch}",
              f"optimization.accumulate_grad_batches={accumulate}"]  # fmt: skip
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    assert main(["--config", str(small), *common, "optimization.max_steps=9", f"save_path={whole}"]) == 0
    assert main(["--config", str(small), *common, f"optimization.max_steps={end}", f"save_path={broken}"]) == 0
    last = only_run(broken) / "checkpoints" / "last.ckpt"
    assert main(["--config", str(small), *common, "optimization.max_steps=9", "--checkpoint", str(last)]) == 0
    theirs, ours = (torch.load(only_run(run) / "checkpoints" / "last.ckpt", weights_only=True)
                    for run in (whole, broken))  # fmt: skip
    for name, tensor in theirs["state_dict"].items():
        assert torch.equal(ours["state_dict"][name], tensor), name
    for tag in TAGS:
        expected, found = scalars(only_run(whole), tag), scalars(only_run(broken), tag)
        more = set() if tag == TAGS[0] else {end - 1}  # where the shorter training was validated
        assert set(found) == set(expected) | more, tag
        assert {step: found[step] for step in expected} == pytest.approx(expected, rel=1e-6), tag


@pytest.mark.parametrize(
    ("first", "then"),
    [
        ([], ["monitor.checkpoint.monitor=val_loss_total"]),
        ([], ["monitor.checkpoint.mode=max"]),
        (["monitor.early_stopping.enabled=true"], []),
        (["monitor.early_stopping.enabled=true"],
         ["monitor.early_stopping.enabled=true", "monitor.early_stopping.monitor=val_jaccard"]),
    ],
)  # fmt: skip
def test_another_number_may_be_monitored_after_a_resume(small: Path, first: list[str], then: list[str]) -> None:
    """Warnings are errors here: Lightning has one for a state that nothing takes up."""
    assert main(["--config", str(small), *first]) == 0
    last = only_run(small.parent / "runs") / "checkpoints" / "last.ckpt"
    assert main(["--config", str(small), "--checkpoint", str(last), "optimization.max_steps=9", *then]) == 0
    names = torch.load(last, weights_only=True)["callbacks"]
    assert sum("ModelCheckpoint" in name for name in names) == 1
    assert sum("EarlyStopping" in name for name in names) == len(then) // 2
