from types import SimpleNamespace
from typing import Any

import pytorch_lightning as pl
import torch
from torch import nn

from connectomics.config.optimization import EMAConfig
from connectomics.training.ema import WeightAverage


class Net(pl.LightningModule):
    def __init__(self) -> None:
        super().__init__()
        self.model = nn.Sequential(nn.Linear(1, 1, bias=False), nn.BatchNorm1d(1))


def follow(config: EMAConfig, weights: list[float], repeats: int = 1) -> tuple[WeightAverage, Net, list[float]]:
    """Set the weight to each value in turn, one optimizer step each, and return what the average becomes."""
    torch.manual_seed(0)
    net, average, trainer = Net(), WeightAverage(config), SimpleNamespace(global_step=0)
    average.on_fit_start(trainer, net)  # type: ignore[arg-type]
    averages = []
    for weight in weights:
        trainer.global_step += 1
        nn.init.constant_(net.model[0].weight, weight)
        net.model[1].running_mean.fill_(weight)
        net.model[1].num_batches_tracked.add_(1)
        for _ in range(repeats):
            average.on_train_batch_end(trainer, net, None, None, 0)  # type: ignore[arg-type]
        averages.append(saved(average, net)["ema"]["weights"]["0.weight"].item())
    return average, net, averages


def saved(average: WeightAverage, net: Net) -> dict[str, Any]:
    checkpoint = {"state_dict": {name: tensor.clone() for name, tensor in net.state_dict().items()}, "global_step": 0}
    average.on_save_checkpoint(None, net, checkpoint)  # type: ignore[arg-type]
    return checkpoint


def test_the_average_is_a_copy_while_it_warms_up_and_then_follows_the_formula() -> None:
    _, _, averages = follow(EMAConfig(decay=0.9, warmup_steps=2), [5.0, 3.0, 4.0, 8.0])
    expected = [5.0, 3.0, 0.9 * 3 + 0.1 * 4, 0.9 * (0.9 * 3 + 0.1 * 4) + 0.1 * 8]
    torch.testing.assert_close(averages, expected)


def test_batch_statistics_are_averaged_like_weights_and_counts_are_copied() -> None:
    average, net, averages = follow(EMAConfig(decay=0.5, warmup_steps=1), [2.0, 4.0])
    weights = saved(average, net)["ema"]["weights"]
    assert averages[-1] == weights["1.running_mean"].item() == 3.0
    assert weights["1.num_batches_tracked"].item() == 2


def test_batches_that_only_accumulate_do_not_move_the_average() -> None:
    _, _, once = follow(EMAConfig(decay=0.5, warmup_steps=0), [2.0, 4.0])
    _, _, thrice = follow(EMAConfig(decay=0.5, warmup_steps=0), [2.0, 4.0], repeats=3)
    assert once == thrice


def test_a_validation_sees_the_average_and_training_its_own_weights() -> None:
    average, net, averages = follow(EMAConfig(decay=0.5, warmup_steps=1), [2.0, 4.0])
    average.on_validation_start(None, net)  # type: ignore[arg-type]
    assert net.model[0].weight.item() == averages[-1] == 3.0
    during = saved(average, net)
    average.on_validation_end(None, net)  # type: ignore[arg-type]
    assert net.model[0].weight.item() == 4.0
    assert during["state_dict"]["model.0.weight"].item() == 4.0
    torch.testing.assert_close(during["ema"]["weights"], saved(average, net)["ema"]["weights"])


def test_validation_with_raw_weights_is_a_setting() -> None:
    average, net, _ = follow(EMAConfig(decay=0.5, warmup_steps=1, validate_with_ema=False), [2.0, 4.0])
    average.on_validation_start(None, net)  # type: ignore[arg-type]
    assert net.model[0].weight.item() == 4.0


def test_before_the_first_step_the_average_is_the_network() -> None:
    net, average = Net(), WeightAverage(EMAConfig())
    average.on_fit_start(None, net)  # type: ignore[arg-type]
    torch.testing.assert_close(saved(average, net)["ema"]["weights"], net.model.state_dict())


def test_a_resumed_average_goes_on_where_it_was() -> None:
    config = EMAConfig(decay=0.5, warmup_steps=1)
    average, net, _ = follow(config, [2.0, 4.0])
    again = WeightAverage(config)
    again.on_load_checkpoint(None, net, saved(average, net))  # type: ignore[arg-type]
    again.on_fit_start(None, net)  # type: ignore[arg-type]
    torch.testing.assert_close(saved(again, net)["ema"], saved(average, net)["ema"])
