"""What validation logs of distances and of precision over recall can be counted by hand."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from pytorch_lightning.loggers import TensorBoardLogger
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.pr_curve import plugin_data_pb2
from tensorboard.util import tensor_util

from connectomics.config import Config
from connectomics.metrics import LabelPair, MaskPair
from connectomics.metrics.cleft_distance import measure_cleft_distance
from connectomics.metrics.judged import judge
from connectomics.metrics.matching import MatchRule
from connectomics.metrics.outcomes import Outcome
from connectomics.runs.cli import main
from connectomics.training.validation_scores import BINS, ValidationScores
from tests.runs.reading import only_run, scalars, tags

SPACING = (50.0, 4.6, 4.6)


class Logged:
    """Stands for the module; remembers what is logged."""

    device = torch.device("cpu")

    def __init__(self) -> None:
        self.numbers: dict[str, float] = {}

    def log(self, name: str, value: torch.Tensor) -> None:
        self.numbers[name] = float(value)


def validate(config: Config, batches: list[dict], logs: Path | None = None) -> dict[str, float]:
    """Run the callback over batches that hold their own predictions, and return what it logs."""
    windows = [number for batch in batches for number in batch["number"].tolist() if number >= 0]
    loggers = [] if logs is None else [TensorBoardLogger(logs, name="", version="")]
    trainer = SimpleNamespace(
        sanity_checking=False, is_global_zero=True, global_step=7, loggers=loggers,
        datamodule=SimpleNamespace(validation_patches=lambda: windows),
    )  # fmt: skip
    most = config.monitor.logging.scalar.max_cremi_patches
    module, scores = Logged(), ValidationScores(config.decoding, most, MatchRule())
    scores.on_validation_epoch_start(trainer, module)
    for number, batch in enumerate(batches):
        scores.on_validation_batch_end(trainer, module, batch["probability"], batch, number)
    scores.on_validation_epoch_end(trainer, module)
    for logger in loggers:
        logger.experiment.flush()
    return module.numbers


def draw_batches(count: int, empty: tuple[int, ...] = ()) -> list[dict]:
    rng = np.random.default_rng(0)
    batches = []
    for number in range(count):
        label = (rng.random((1, 1, 4, 12, 14)) < 0.1) * (number not in empty)
        arrays = {"probability": rng.random(label.shape), "label": label, "valid": rng.random(label.shape) < 0.9}
        batch = {name: torch.from_numpy(array.astype(np.float32)) for name, array in arrays.items()}
        batches.append({**batch, "spacing_nm": torch.tensor([SPACING]), "number": torch.tensor([number])})
    return batches


def plain_distance(batch: dict, threshold: float) -> float:
    valid, truth, probability = (batch[name][0, 0].numpy() for name in ("valid", "label", "probability"))
    pair = MaskPair(probability >= np.float32(threshold), truth > 0, SPACING, valid > 0)
    return measure_cleft_distance(pair).score


def test_the_distance_is_the_mean_over_the_patches_where_there_is_one() -> None:
    config, batches = Config(), draw_batches(5, empty=(1, 4))
    logged = validate(config, batches)
    expected = np.mean([plain_distance(batches[i], config.decoding.threshold) for i in (0, 2, 3)])
    assert logged["val_cremi_distance"] == pytest.approx(expected, rel=1e-6)
    assert logged["val_cremi_undefined"] == 2


def test_what_became_of_the_synapses_of_the_measured_patches_is_counted() -> None:
    config, batches = Config(), draw_batches(4, empty=(1,))
    logged = validate(config, batches)
    expected = dict.fromkeys(Outcome, 0)
    for batch in batches:
        valid, truth, probability = (batch[name][0, 0].numpy() for name in ("valid", "label", "probability"))
        mask = probability >= np.float32(config.decoding.threshold)
        outcomes = judge(LabelPair(mask, truth > 0, SPACING, valid > 0), MatchRule()).outcomes
        assert outcomes is not None
        expected = {word: expected[word] + outcomes.count(word) for word in Outcome}
    assert {word: logged[f"val_synapses/{word.key}"] for word in Outcome} == expected
    assert sum(expected.values()) > 0


def test_so_many_patches_are_measured_evenly_spread_and_the_same_every_time() -> None:
    config, batches = Config(), draw_batches(7)
    config.monitor.logging.scalar.max_cremi_patches = 3
    logged = validate(config, batches)
    expected = np.mean([plain_distance(batches[i], config.decoding.threshold) for i in (0, 3, 6)])
    assert logged["val_cremi_distance"] == pytest.approx(expected, rel=1e-6)
    config.monitor.logging.scalar.max_cremi_patches = 0
    assert validate(config, batches) == {}


def test_without_any_distance_the_number_is_nan() -> None:
    logged = validate(Config(), draw_batches(2, empty=(0, 1)))
    assert np.isnan(logged["val_cremi_distance"])
    assert logged["val_cremi_undefined"] == 2


def test_the_curve_holds_precision_and_recall_of_every_threshold(tmp_path: Path) -> None:
    batches = draw_batches(3)
    validate(Config(), batches, tmp_path)
    events = EventAccumulator(str(tmp_path))
    events.Reload()
    (event,) = events.Tensors("validation/precision_recall")
    plugin = plugin_data_pb2.PrCurvePluginData()
    plugin.ParseFromString(events.SummaryMetadata("validation/precision_recall").plugin_data.content)
    assert plugin.num_thresholds == BINS
    _, _, _, _, precision, recall = tensor_util.make_ndarray(event.tensor_proto)
    valid, truth, probability = (
        np.concatenate([batch[name].numpy().ravel() for batch in batches]) for name in ("valid", "label", "probability")
    )
    truth, probability = truth[valid > 0] > 0, probability[valid > 0]
    for i in (0, 1, 40, 90, BINS - 1):
        predicted = (probability * np.float32(BINS - 1)).astype(int) >= i
        both = (predicted & truth).sum()
        assert precision[i] == pytest.approx(both / max(1, predicted.sum()))
        assert recall[i] == pytest.approx(both / truth.sum())


def test_a_training_logs_them_and_may_rank_its_checkpoints_by_them(small: Path) -> None:
    ranked = ["monitor.checkpoint.monitor=val_cremi_distance", "monitor.early_stopping.enabled=true",
              "monitor.early_stopping.monitor=val_cremi_distance"]  # fmt: skip
    assert main(["--config", str(small), *ranked]) == 0
    run = only_run(small.parent / "runs")
    logged = tags(run)
    assert {"val_cremi_distance", "val_cremi_undefined"} <= set(logged["scalars"])
    assert logged["tensors"] == ["validation/precision_recall"]
    assert len(scalars(run, "val_cremi_undefined")) == 2


def test_an_untrained_network_that_finds_nothing_ends_no_training(small: Path) -> None:
    ranked = ["monitor.checkpoint.monitor=val_cremi_distance", "decoding.threshold=0.999999",
              "monitor.early_stopping.enabled=true", "monitor.early_stopping.monitor=val_cremi_distance"]  # fmt: skip
    assert main(["--config", str(small), *ranked]) == 0
    run = only_run(small.parent / "runs")
    assert all(np.isnan(value) for value in scalars(run, "val_cremi_distance").values())
    assert len(list((run / "checkpoints").iterdir())) == 3


@pytest.mark.parametrize(
    ("overrides", "says"),
    [
        (["monitor.checkpoint.monitor=val_cremi"], "did you mean 'val_cremi_distance'"),
        (["monitor.checkpoint.monitor=val_cremi_distance", "monitor.logging.scalar.max_cremi_patches=0"],
         "max_cremi_patches=0 measures none"),
    ],
)  # fmt: skip
def test_a_number_that_is_not_logged_is_told(
    small: Path, capsys: pytest.CaptureFixture[str], overrides: list[str], says: str
) -> None:
    assert main(["--config", str(small), *overrides]) == 2
    assert says in capsys.readouterr().err
