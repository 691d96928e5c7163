"""`optimization`: how long, how exact, and by which optimizer."""

from dataclasses import dataclass, field
from typing import Any, Literal


@dataclass(kw_only=True, slots=True)
class OptimizerConfig:
    """`optimization.optimizer`."""

    name: str = "AdamW"
    """A name in `training.optimizers.OPTIMIZERS`."""
    lr: float = 1e-3
    """Learning rate at the first step."""
    eps: float = 1e-8
    """Added to the denominator of a step by optimizers that divide by a running mean."""
    betas: tuple[float, float] = (0.9, 0.999)
    """Decay of the running means of the gradient and of its square, for optimizers that keep them."""
    weight_decay: float = 0.01
    """Weight decay, decoupled with AdamW and Adam; not applied to biases and normalisation."""
    params: dict[str, Any] = field(default_factory=dict)
    """Other arguments of the optimizer, by name: `{momentum: 0.9, nesterov: true}` for SGD."""


@dataclass(kw_only=True, slots=True)
class SchedulerParamsConfig:
    """`optimization.scheduler.params`."""

    t_max: int | None = None
    """Steps (or epochs, see `interval`) until the learning rate has come down to `min_lr`; null is all of them."""


@dataclass(kw_only=True, slots=True)
class SchedulerConfig:
    """`optimization.scheduler`: the course of the learning rate."""

    name: str = "CosineAnnealingLR"
    """A name in `training.optimizers.SCHEDULERS`."""
    min_lr: float = 1e-5
    """Learning rate at the end."""
    interval: Literal["step", "epoch"] = "step"
    """How often the learning rate changes."""
    params: SchedulerParamsConfig = field(default_factory=SchedulerParamsConfig)


@dataclass(kw_only=True, slots=True)
class EMAConfig:
    """`optimization.ema`: an exponential moving average of the weights."""

    enabled: bool = True
    decay: float = 0.999
    """Share of the average that each step keeps, in [0, 1). It reaches back about 1 / (1 - decay) steps, which should
    be a small part of the run: weights from when the learning rate was high do not fit those from its end."""
    warmup_steps: int = 500
    """For so many steps the average is a copy of the weights."""
    validate_with_ema: bool = True
    """Validate with the average instead of the latest weights."""


@dataclass(kw_only=True, slots=True)
class OptimizationConfig:
    """`optimization`: how long, how exact, and by which optimizer."""

    max_steps: int = 150_000
    """Optimizer steps of the whole training."""
    n_steps_per_epoch: int = 1280
    """Optimizer steps between two validations."""
    precision: Literal["32-true", "bf16-mixed", "16-mixed"] = "bf16-mixed"
    """Arithmetic of the network; the weights stay in float32."""
    gradient_clip_val: float = 1.0
    """Largest norm of the gradient; 0 is off."""
    accumulate_grad_batches: int = 1
    """Batches that make one optimizer step."""
    max_skipped_steps: int = 20
    """A step whose loss or gradient is not finite is skipped; after so many in a row the training stops."""
    deterministic: bool = False
    """Take only algorithms that give the same bits every time; slower on a GPU."""
    benchmark: bool = True
    """Let cuDNN try its algorithms and keep the fastest."""
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    scheduler: SchedulerConfig = field(default_factory=SchedulerConfig)
    ema: EMAConfig = field(default_factory=EMAConfig)
