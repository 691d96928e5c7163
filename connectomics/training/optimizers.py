"""Optimizers and the course of the learning rate."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from inspect import signature
from math import ceil, cos, pi
from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR, LRScheduler

from connectomics.config.optimization import OptimizationConfig, OptimizerConfig, SchedulerParamsConfig
from connectomics.errors import ConfigError
from connectomics.lookup import build, pick

OPTIMIZERS: Mapping[str, Callable[..., Optimizer]] = {
    "AdamW": torch.optim.AdamW,
    "Adam": partial(torch.optim.Adam, decoupled_weight_decay=True),
    "SGD": torch.optim.SGD,
}
"""`optimization.optimizer.name` to the optimizer.

It is given the learning rate, weight decay, `eps` and `betas` if it takes them; its other arguments, such as the
momentum of SGD, stand in `optimization.optimizer.params`. Weight decay is decoupled, but for SGD, where it is that of a
penalty on the squared weights.
"""

Course = Callable[[float, float, SchedulerParamsConfig], float]
"""Share of the course that is done, lowest factor and parameters, to the factor of the learning rate."""

SCHEDULERS: Mapping[str, Course] = {
    "CosineAnnealingLR": lambda done, low, _: low + (1 - low) * (1 + cos(pi * done)) / 2,
    "LinearLR": lambda done, low, _: 1 - (1 - low) * done,
    "PolynomialLR": lambda done, low, params: low + (1 - low) * (1 - done) ** params.power,
    "ConstantLR": lambda done, low, _: 1.0,
}
"""`optimization.scheduler.name` to the course of the learning rate; after `t_max` it stays at `min_lr`."""


def build_optimizer(model: nn.Module, config: OptimizerConfig, on_gpu: bool = False) -> Optimizer:
    """Build the optimizer of a network; weight decay spares biases and normalisation.

    On a GPU it is the fused one, a single kernel for all weights, where there is one and `params` do not say otherwise.

    Args:
        model: The network; parameters without a gradient are left out.
        config: Which optimizer.
        on_gpu: Whether the network trains on a GPU, even if it is not there yet.

    Raises:
        ConfigError: If it, or one of `optimization.optimizer.params`, is unknown or does not fit.
    """
    weights = [p for p in model.parameters() if p.requires_grad and p.ndim > 1]
    others = [p for p in model.parameters() if p.requires_grad and p.ndim <= 1]
    make = pick(OPTIMIZERS, config.name, "optimization.optimizer.name")
    known = signature(make).parameters
    groups: list[dict[str, Any]] = [{"params": weights}, {"params": others}]
    if "weight_decay" in known:
        groups = [groups[0] | {"weight_decay": config.weight_decay}, groups[1] | {"weight_decay": 0.0}]
    if twice := {"params", "lr", "eps", "betas", "weight_decay"} & config.params.keys():
        raise ConfigError(f"optimization.optimizer.params.{min(twice)} has a setting of its own")
    settings = {"lr": config.lr, "eps": config.eps, "betas": config.betas}
    usual: dict[str, Any] = {name: value for name, value in settings.items() if name in known}
    if on_gpu and "fused" in known and not {"fused", "foreach", "differentiable"} & config.params.keys():
        usual["fused"] = True
    own = partial(make, [group for group in groups if group["params"]], **usual)
    optimizer = build(own, config.params, config.name, "optimization.optimizer.params")
    vars(optimizer)["_step_supports_amp_scaling"] = False  # gradients are unscaled and clipped before
    return optimizer


def build_scheduler(optimizer: Optimizer, config: OptimizationConfig) -> LRScheduler:
    """Build the scheduler; it is stepped after every optimizer step or epoch, as `interval` says.

    Step i of a warm-up of w steps is taken with (i + 1) / (w + 1) of the learning rate, i from 0; the course begins
    behind it, at step w.
    """
    scheduler = config.scheduler
    course = pick(SCHEDULERS, scheduler.name, "optimization.scheduler.name")
    whole = config.max_steps if scheduler.interval == "step" else ceil(config.max_steps / config.n_steps_per_epoch)
    warmup = scheduler.warmup_steps
    length = scheduler.params.t_max or whole - warmup
    low = scheduler.min_lr / config.optimizer.lr

    def factor(done: int) -> float:
        if done < warmup:
            return (done + 1) / (warmup + 1)
        return course(min((done - warmup) / length, 1.0), low, scheduler.params)

    return LambdaLR(optimizer, factor)
