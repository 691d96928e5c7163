"""`--resume auto` goes on from the newest whole checkpoint of an experiment, or begins."""

import shutil
from pathlib import Path

import pytest
import torch

from connectomics.runs.cli import main
from tests.runs.reading import only_run


class Killed(Exception):
    pass


def train(small: Path, *more: str) -> int:
    return main(["--config", str(small), *more])


def weights(run: Path) -> dict[str, torch.Tensor]:
    return torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]


@pytest.fixture
def stopped(small: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a run of six steps of which three are done, as if it had been killed behind its first epoch."""
    from connectomics.training.saving import SaveLast

    save = SaveLast.on_train_epoch_end

    def die(self: SaveLast, *arguments: object) -> None:
        save(self, *arguments)  # type: ignore[arg-type]
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(SaveLast, "on_train_epoch_end", die)
        with pytest.raises(Killed):
            train(small, "--resume", "auto")
    return only_run(small.parent / "runs")


def test_without_a_checkpoint_it_begins_and_with_one_it_goes_on_as_if_unbroken(
    small: Path, stopped: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    assert train(small, "--resume", "auto") == 0
    assert f"going on from step 3 of {stopped}/checkpoints/last.ckpt" in capsys.readouterr().out
    assert only_run(small.parent / "runs") == stopped
    assert train(small, f"save_path={small.parent}/unbroken") == 0
    unbroken = weights(only_run(small.parent / "unbroken"))
    for name, tensor in weights(stopped).items():
        torch.testing.assert_close(tensor, unbroken[name], rtol=0, atol=0)


def test_what_is_trained_to_its_end_is_left_alone(small: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert train(small) == 0
    before = weights(only_run(small.parent / "runs"))
    capsys.readouterr()
    assert train(small, "--resume", "auto") == 0
    assert "nothing is left to train" in capsys.readouterr().out
    assert only_run(small.parent / "runs")
    assert weights(only_run(small.parent / "runs")).keys() == before.keys()
    assert train(small, "--resume", "auto", "optimization.max_steps=7") == 0
    assert "going on from step 6" in capsys.readouterr().out


def test_the_step_counts_and_not_the_time_and_damage_is_told(
    small: Path, stopped: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    runs = stopped.parent
    other = Path(shutil.copytree(stopped, runs / "later"))
    newer = torch.load(other / "checkpoints" / "last.ckpt", weights_only=True)
    newer["global_step"] = 5
    torch.save(newer, other / "checkpoints" / "last.ckpt")
    whole = (other / "checkpoints" / "last.ckpt").read_bytes()
    (other / "checkpoints" / "last.ckpt").write_bytes(whole[: len(whole) // 2])
    (other / "checkpoints" / "nothing.ckpt").write_text("no checkpoint")
    (stopped / "checkpoints" / "last.ckpt").touch()
    capsys.readouterr()
    assert train(small, "--resume", "auto") == 0
    said = capsys.readouterr().out
    assert "later/checkpoints/last.ckpt is damaged or not a checkpoint; looking for an earlier one" in said
    assert f"going on from step 3 of {stopped}/checkpoints/" in said


@pytest.mark.parametrize("more", [["--checkpoint", "x.ckpt"], ["--mode", "test"], ["--preview", "1"]])
def test_it_goes_with_a_plain_training_only(small: Path, more: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        train(small, "--resume", "auto", *more)
    assert ended.value.code == 2
    assert "--resume auto finds the checkpoint" in capsys.readouterr().err
