"""A training that goes on follows the settings of today: what a checkpoint remembers of older ones is replaced."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import nn
from torch.optim.lr_scheduler import LambdaLR

from connectomics.config import Config, as_plain
from connectomics.config.model import ModelConfig
from connectomics.config.monitor import MonitorConfig
from connectomics.config.optimization import OptimizationConfig
from connectomics.errors import ConfigError
from connectomics.training.checkpoints import MODEL_PREFIX, SETTINGS_KEY
from connectomics.training.learning import Learning
from connectomics.training.optimizers import build_optimizer, build_scheduler

State = dict[str, Any]


def require_resumable(checkpoint: Mapping[str, Any], now: OptimizationConfig, network: ModelConfig, path: Path) -> None:
    """Refuse settings that a training which has begun can no longer take.

    Raises:
        ConfigError: With the key of the setting, its former value and what to do.
    """
    before = _trained_with(checkpoint)
    step = int(checkpoint["global_step"])
    if now.max_steps < step:
        raise ConfigError(
            f"optimization.max_steps is {now.max_steps}, but --checkpoint {path} has gone {step} steps; "
            "a training cannot be made shorter than it is"
        )
    frozen, wanted = checkpoint[SETTINGS_KEY]["model"].get("weights", {}).get("freeze", []), network.weights.freeze
    if frozen != wanted:
        raise ConfigError(
            f"model.weights.freeze is {wanted}, but --checkpoint {path} was trained with {frozen}, and the optimizer "
            "remembers steps of these parts alone; keep it, or begin a new training with model.weights.file"
        )
    former, named = before["optimizer"], now.optimizer
    if named.name != former["name"]:
        raise _refusal("name", named.name, former["name"], path)
    for key in {**former["params"], **named.params}:
        old, new = former["params"].get(key), named.params.get(key)
        numbers = all(isinstance(value, int | float) and not isinstance(value, bool) for value in (old, new))
        if old != new and not numbers:
            raise _refusal(f"params.{key}", new, old, path)


def _refusal(key: str, new: Any, old: Any, path: Path) -> ConfigError:
    return ConfigError(
        f"optimization.optimizer.{key} is {new!r}, but --checkpoint {path} was trained with {old!r}, and what the "
        "optimizer remembers of its steps does not fit another one; keep it, or begin a new training"
    )


def follow_settings(checkpoint: State, now: Learning, module: nn.Module) -> None:
    """Replace what a checkpoint would bring back of the settings that it was trained with.

    Weights, the optimizer's memory of its steps, random state and the place in the data stay as they were. Nothing
    changes where the settings are the same.

    Args:
        checkpoint: As Lightning read it; it is changed, before anything is restored from it.
        now: The settings to go on with.
        module: What is trained; what it holds besides the network, such as weights of losses, is kept.
    """
    own = {name: t for name, t in module.state_dict().items() if not name.startswith(MODEL_PREFIX)}
    network = {name: t for name, t in checkpoint["state_dict"].items() if name.startswith(MODEL_PREFIX)}
    checkpoint["state_dict"] = network | own
    before = _trained_with(checkpoint)
    _follow_length(checkpoint, before, now.optimization)
    _follow_rates(checkpoint, before, now, module)
    _follow_monitors(checkpoint, now.monitor)
    _log_where_it_stopped(checkpoint, now)


def _trained_with(checkpoint: Mapping[str, Any]) -> State:
    """Return the section `optimization` that a checkpoint was trained with; what it does not know had its default."""
    default, found = as_plain(Config())["optimization"], checkpoint[SETTINGS_KEY]["optimization"]
    return default | found | {"optimizer": default["optimizer"] | found["optimizer"]}


def _follow_rates(checkpoint: State, before: State, learning: Learning, module: nn.Module) -> None:
    """Take every hyper-parameter, and the learning rate of this step, from the settings."""
    now, on_gpu = learning.optimization, learning.devices.accelerator == "gpu"
    optimizer = build_optimizer(module.get_submodule("model"), now.optimizer, on_gpu)
    scheduler = build_scheduler(optimizer, now)
    assert isinstance(scheduler, LambdaLR)
    saved, course = checkpoint["optimizer_states"][0], checkpoint["lr_schedulers"][0]
    done = course["last_epoch"]
    by_epoch = now.scheduler.interval == "epoch"
    if before["scheduler"]["interval"] != now.scheduler.interval:
        done = checkpoint["global_step"] // (now.n_steps_per_epoch if by_epoch else 1)
    elif by_epoch and before["n_steps_per_epoch"] != now.n_steps_per_epoch:
        done = checkpoint["global_step"] // now.n_steps_per_epoch
    rates = [base * share(done) for base, share in zip(scheduler.base_lrs, scheduler.lr_lambdas, strict=True)]
    for group, fresh, rate in zip(saved["param_groups"], optimizer.param_groups, rates, strict=True):
        kept = group["params"]
        group.clear()
        group |= {key: value for key, value in fresh.items() if key != "params"} | {"lr": rate, "params": kept}
    course |= {"base_lrs": scheduler.base_lrs, "last_epoch": done, "_last_lr": rates}


def _follow_length(checkpoint: State, before: State, now: OptimizationConfig) -> None:
    """Count the steps of the running epoch in the batches, and towards the end, that the settings now have."""
    old, every = before["accumulate_grad_batches"], now.accumulate_grad_batches
    if (old, before["n_steps_per_epoch"]) == (every, now.n_steps_per_epoch):
        return
    progress = checkpoint["loops"]["fit_loop"]["epoch_loop.batch_progress"]
    current = progress["current"]
    at_end = current["completed"] == current["processed"]  # saved when the epoch was over, not after one of its steps
    steps = now.n_steps_per_epoch if at_end else current["processed"] // old % now.n_steps_per_epoch
    batches = (steps or now.n_steps_per_epoch) * every
    current |= dict.fromkeys(("ready", "started", "processed"), batches)
    current["completed"] = batches if at_end else batches - 1
    progress["is_last_batch"] = batches == now.n_steps_per_epoch * every


def _follow_monitors(checkpoint: State, now: MonitorConfig) -> None:
    """Take the patience of early stopping, and which and how many best checkpoints stay, from the settings.

    What was the best of another number, or in another sense, is forgotten; its files stay.
    """
    best, stopping = now.checkpoint, now.early_stopping
    for name, state in list(checkpoint["callbacks"].items()):
        stops = name.startswith("EarlyStopping")
        if not stops and "best_k_models" not in state:
            continue
        del checkpoint["callbacks"][name]
        followed = stopping if stops else best
        if f"'monitor': {followed.monitor!r}, 'mode': {followed.mode!r}" not in name:
            continue
        if stops and stopping.enabled:
            checkpoint["callbacks"][name] = state | {"patience": stopping.patience}
        if not stops:
            renamed = re.sub(r"'every_n_epochs': \d+", f"'every_n_epochs': {best.save_every_n_epochs}", name)
            checkpoint["callbacks"][renamed] = state
            _keep_best(state, best.save_top_k, low_is_good=best.mode == "min")


def _keep_best(state: State, most: int, low_is_good: bool) -> None:
    """Forget all but the best checkpoints; their files stay."""
    known: dict[str, Any] = state["best_k_models"]
    if not 0 < most <= len(known):
        return
    best = sorted(known, key=lambda path: float(known[path]), reverse=not low_is_good)[:most]
    kept = {path: score for path, score in known.items() if path in best}
    worst = (max if low_is_good else min)(kept, key=lambda path: float(kept[path]))
    state |= {"best_k_models": kept, "kth_best_model_path": worst, "kth_value": kept[worst]}


def _log_where_it_stopped(checkpoint: State, now: Learning) -> None:
    """Make up for the step too many that Lightning counts when it goes on behind a validated epoch."""
    loops, settings = checkpoint["loops"]["fit_loop"], now.optimization
    current = loops["epoch_loop.batch_progress"]["current"]
    whole = current["processed"] % (settings.n_steps_per_epoch * settings.accumulate_grad_batches) == 0
    if current["completed"] == current["processed"] and whole and now.validates:
        loops["epoch_loop.state_dict"]["_batches_that_stepped"] = checkpoint["global_step"] - 1
