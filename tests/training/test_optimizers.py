import math
from typing import Any

import pytest
import torch
from torch import nn

from connectomics.config.optimization import OptimizationConfig, OptimizerConfig
from connectomics.errors import ConfigError
from connectomics.training.optimizers import OPTIMIZERS, SCHEDULERS, build_optimizer, build_scheduler


def course(config: OptimizationConfig, steps: int) -> list[float]:
    optimizer = build_optimizer(nn.Linear(2, 2), config.optimizer)
    scheduler = build_scheduler(optimizer, config)
    rates = []
    for _ in range(steps):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return rates


def test_the_cosine_is_pytorchs_until_t_max_and_stays_low_after_it() -> None:
    config = OptimizationConfig(max_steps=20)
    config.scheduler.params.t_max = 10
    optimizer = torch.optim.AdamW(nn.Linear(2, 2).parameters(), lr=1e-3)
    theirs = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=10, eta_min=1e-5)
    ours = course(config, 20)
    for rate in ours[:11]:
        assert rate == pytest.approx(optimizer.param_groups[0]["lr"])
        optimizer.step()
        theirs.step()
    assert ours[10:] == pytest.approx([1e-5] * 10)


def test_without_t_max_the_whole_training_is_taken() -> None:
    config = OptimizationConfig(max_steps=8)
    assert course(config, 9)[-1] == pytest.approx(config.scheduler.min_lr)
    config.scheduler.interval, config.n_steps_per_epoch = "epoch", 4
    assert course(config, 3)[-1] == pytest.approx(config.scheduler.min_lr)


@pytest.mark.parametrize("name", SCHEDULERS)
def test_every_course_begins_at_lr(name: str) -> None:
    config = OptimizationConfig(max_steps=4)
    config.scheduler.name = name
    rates = course(config, 5)
    assert rates[0] == pytest.approx(config.optimizer.lr)
    assert rates == sorted(rates, reverse=True)
    assert all(math.isfinite(rate) for rate in rates)


def test_weight_decay_spares_biases_and_norms() -> None:
    model = nn.Sequential(nn.Conv3d(1, 2, 3), nn.BatchNorm3d(2))
    optimizer = build_optimizer(model, OptimizerConfig(weight_decay=0.3, eps=1e-6, betas=(0.8, 0.9)))
    assert [(g["weight_decay"], len(g["params"])) for g in optimizer.param_groups] == [(0.3, 1), (0.0, 3)]
    assert all((g["eps"], g["betas"]) == (1e-6, (0.8, 0.9)) for g in optimizer.param_groups)


@pytest.mark.parametrize("name", ["AdamW", "Adam"])
def test_weight_decay_is_decoupled_from_the_gradient(name: str) -> None:
    """Without a gradient nothing but the decay moves a weight: by lr times the decay, whatever the optimizer."""
    model = nn.Conv3d(1, 1, 3)
    before = model.weight.detach().clone()
    optimizer = build_optimizer(model, OptimizerConfig(name=name, lr=0.1, weight_decay=0.5))
    model.weight.grad = torch.zeros_like(model.weight)
    optimizer.step()
    torch.testing.assert_close(model.weight.detach(), before * (1 - 0.1 * 0.5))


@pytest.mark.parametrize(
    ("optimizer", "params", "expected"),
    [(torch.optim.SGD, {"momentum": 0.9}, {"lr": 0.1, "momentum": 0.9, "weight_decay": 0.5}),
     (torch.optim.RMSprop, {}, {"lr": 0.1, "eps": 1e-6, "weight_decay": 0.5}),
     (torch.optim.Rprop, {"etas": [0.4, 1.3]}, {"lr": 0.1}),
     (torch.optim.Adadelta, {"rho": 0.8}, {"rho": 0.8, "eps": 1e-6}),
     (torch.optim.NAdam, {}, {"betas": (0.8, 0.9), "eps": 1e-6})],
)  # fmt: skip
def test_an_optimizer_is_given_what_it_takes(
    monkeypatch: pytest.MonkeyPatch, optimizer: type, params: dict[str, Any], expected: dict[str, Any]
) -> None:
    monkeypatch.setitem(OPTIMIZERS, "Other", optimizer)  # type: ignore[misc]
    config = OptimizerConfig(name="Other", lr=0.1, eps=1e-6, betas=(0.8, 0.9), weight_decay=0.5, params=params)
    weights, others = build_optimizer(nn.Conv3d(1, 1, 3), config).param_groups
    assert expected.items() <= weights.items()
    assert others.get("weight_decay", 0.0) == 0.0


@pytest.mark.parametrize(
    ("params", "complaint"),
    [({"momentun": 0.9}, "optimization.optimizer.params.momentun is not an argument of AdamW"),
     ({"lr": 0.9}, "optimization.optimizer.params.lr has a setting of its own"),
     ({"weight_decay": 0.9}, "optimization.optimizer.params.weight_decay has a setting of its own"),
     ({"params": []}, "optimization.optimizer.params.params"),
     ({"foreach": True, "fused": True}, "optimization.optimizer.params do not fit AdamW")],
)  # fmt: skip
def test_an_argument_that_an_optimizer_does_not_take_is_refused(params: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ConfigError, match=complaint):
        build_optimizer(nn.Conv3d(1, 1, 3), OptimizerConfig(params=params))


def test_unknown_names_are_answered_with_the_close_match() -> None:
    with pytest.raises(ConfigError, match="did you mean 'AdamW'"):
        build_optimizer(nn.Linear(1, 1), OptimizerConfig(name="AdamWW"))


def test_weight_decay_of_adam_is_decoupled_as_the_setting_says() -> None:
    weights = []
    for name in ("Adam", "AdamW"):
        torch.manual_seed(0)
        layer = nn.Linear(3, 3)
        optimizer = build_optimizer(layer, OptimizerConfig(name=name, lr=0.1, weight_decay=0.5))
        for _ in range(5):
            layer(torch.ones(3)).pow(2).sum().backward()
            optimizer.step()
            optimizer.zero_grad()
        weights.append(layer.weight.detach().clone())
    torch.testing.assert_close(*weights, rtol=0, atol=0)


def test_an_optimizer_takes_its_own_arguments_and_no_others() -> None:
    config = OptimizerConfig(name="SGD", lr=0.1, weight_decay=0.0, params={"momentum": 0.9, "nesterov": True})
    (group, others) = build_optimizer(nn.Linear(2, 2), config).param_groups
    assert (group["momentum"], group["nesterov"], others["momentum"]) == (0.9, True, 0.9)
    for params, says in (
        ({"momentun": 0.9}, "params.momentun is not an argument of SGD; did you mean 'momentum'"),
        ({"momentum": -1}, "optimization.optimizer.params do not fit SGD"),
        ({"lr": 3}, "params.lr has a setting of its own"),
    ):
        with pytest.raises(ConfigError, match=says):
            build_optimizer(nn.Linear(2, 2), OptimizerConfig(name="SGD", params=params))


def test_the_schedule_of_the_tutorials_takes_all_steps_however_many() -> None:
    config = OptimizationConfig(max_steps=40)
    assert course(config, 41)[-1] == pytest.approx(1e-5)


@pytest.mark.parametrize("name", SCHEDULERS)
def test_the_rate_rises_evenly_and_then_the_course_is_that_of_the_rest(name: str) -> None:
    config, rest = OptimizationConfig(max_steps=24), OptimizationConfig(max_steps=20)
    config.scheduler.name = rest.scheduler.name = name
    config.scheduler.warmup_steps = 4
    rates = course(config, 26)
    assert rates[:5] == pytest.approx([1e-3 * (i + 1) / 5 for i in range(5)])
    assert rates[4:] == course(rest, 22)


def test_the_polynomial_is_pytorchs_down_to_min_lr() -> None:
    config = OptimizationConfig(max_steps=10)
    config.scheduler.name, config.scheduler.min_lr, config.scheduler.params.power = "PolynomialLR", 0.0, 0.7
    optimizer = torch.optim.SGD(nn.Linear(2, 2).parameters(), lr=1e-3)
    theirs = torch.optim.lr_scheduler.PolynomialLR(optimizer, total_iters=10, power=0.7)
    for rate in course(config, 11):
        assert rate == pytest.approx(optimizer.param_groups[0]["lr"])
        optimizer.step()
        theirs.step()


def test_on_a_gpu_the_fused_optimizer_is_taken_unless_the_settings_say_otherwise() -> None:
    def fused(on_gpu: bool, **changes: Any) -> list[Any]:
        optimizer = build_optimizer(nn.Conv3d(1, 1, 3), OptimizerConfig(**changes), on_gpu)
        assert not optimizer._step_supports_amp_scaling  # type: ignore[attr-defined]  # else nothing may clip
        return [group["fused"] for group in optimizer.param_groups]

    assert fused(on_gpu=False) == [None, None]
    assert fused(on_gpu=True) == fused(on_gpu=True, name="SGD") == [True, True]
    assert fused(on_gpu=True, params={"fused": False}) == [False, False]
    assert fused(on_gpu=True, params={"foreach": True}) == [None, None]
