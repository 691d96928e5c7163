"""The numbers of a training go wherever the settings say, the same ones everywhere."""

import csv
from pathlib import Path

import pytest
from pytorch_lightning.loggers import Logger

from connectomics.config import load_config
from connectomics.errors import ConfigError
from connectomics.runs.cli import main
from connectomics.training import loggers
from connectomics.training.loggers import LOGGERS, build_loggers, require_loggers
from tests.runs.reading import only_run, scalars


def table(run: Path, part: str) -> dict[str, dict[int, float]]:
    """Return every number of a table, by name and step."""
    found: dict[str, dict[int, float]] = {}
    with (run / "logs" / "csv" / part / "metrics.csv").open(encoding="utf-8") as file:
        for row in csv.DictReader(file):
            for name, value in row.items():
                if name != "step" and value:
                    found.setdefault(name, {})[int(row["step"])] = float(value)
    return found


def test_a_table_holds_what_tensorboard_shows_and_each_part_of_a_training_its_own(small: Path) -> None:
    own = ["--config", str(small), "monitor.logging.loggers=[csv, tensorboard]"]
    assert main([*own, "optimization.max_steps=3"]) == 0
    run = only_run(small.parent / "runs")
    first = table(run, "from_step_0")
    assert main([*own, "--resume", "auto"]) == 0
    assert table(run, "from_step_0") == first
    both = {name: first[name] | table(run, "from_step_3")[name] for name in first}
    assert list(both["train_loss_total_step"]) == [0, 1, 2, 3, 4, 5]
    for name in ("train_loss_total_step", "val_loss_total", "train_loss_total_epoch", "val_jaccard"):
        assert both[name] == pytest.approx(scalars(run, name))


def test_without_tensorboard_nothing_is_written_for_it(small: Path) -> None:
    assert main(["--config", str(small), "monitor.logging.loggers=[csv]"]) == 0
    run = only_run(small.parent / "runs")
    assert not list((run / "logs").glob("events*"))
    assert "val_loss_total" in table(run, "from_step_0")


@pytest.mark.parametrize("name", loggers.EXTRAS)
def test_what_is_not_installed_is_told_before_anything_is_written(
    small: Path, name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(loggers, "find_spec", lambda wanted: None)
    assert main(["--config", str(small), f"monitor.logging.loggers=[{name}]"]) == 2
    assert f"pip install 'connectomics-synapses[{name}]'" in capsys.readouterr().err
    assert not (small.parent / "runs").exists()
    require_loggers(["tensorboard", "csv"])


@pytest.mark.parametrize("name", loggers.EXTRAS)
def test_each_writes_into_the_run_without_a_network(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip(name)
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")
    (logger,) = build_loggers([name], tmp_path / "logs", "clefts", None)
    assert isinstance(logger, Logger)
    logger.log_metrics({"val_loss_total": 0.5}, step=3)
    logger.finalize("success")
    assert any(path.is_file() for path in (tmp_path / "logs").rglob("*"))


def test_names_are_those_of_the_table(small: Path) -> None:
    every = f"monitor.logging.loggers=[{','.join(LOGGERS)}]"
    assert load_config(small, [every]).monitor.logging.loggers == list(LOGGERS)
    for wrong, says in (("[]", "one or more names"), ("[csv,csv]", "each once"), ("[tensorbord]", "tensorboard")):
        with pytest.raises(ConfigError, match=says):
            load_config(small, [f"monitor.logging.loggers={wrong}"])
