"""`optimization`: how long the network is trained, in which precision, and by which optimizer."""

from dataclasses import dataclass, field
from typing import Any, Literal


@dataclass(kw_only=True, slots=True)
class OptimizerConfig:
    """`optimization.optimizer`."""

    name: str = "AdamW"
    """A name in `training.optimizers.OPTIMIZERS`."""
    lr: float = 1e-3
    """Learning rate at the first step, or behind the warm-up: the highest one."""
    eps: float = 1e-8
    """Number added to the denominator of a step, for optimizers that divide by a running mean."""
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
    """Steps (or epochs, see `interval`) until the learning rate has fallen to `min_lr`; null is what
    is left of the training behind the warm-up."""
    power: float = 0.9
    """Exponent of PolynomialLR; 1 is LinearLR."""


@dataclass(kw_only=True, slots=True)
class SchedulerConfig:
    """`optimization.scheduler`: the course of the learning rate."""

    name: str = "CosineAnnealingLR"
    """A name in `training.optimizers.SCHEDULERS`."""
    min_lr: float = 1e-5
    """Learning rate at the end of the training."""
    interval: Literal["step", "epoch"] = "step"
    """How often the learning rate changes."""
    warmup_steps: int = 0
    """Steps over which the learning rate first rises to `optimizer.lr`, by the same amount each; the course follows."""
    params: SchedulerParamsConfig = field(default_factory=SchedulerParamsConfig)


@dataclass(kw_only=True, slots=True)
class EMAConfig:
    """`optimization.ema`: an exponential moving average of the weights."""

    enabled: bool = True
    """Whether an average is kept beside the weights."""
    decay: float = 0.999
    """Share of the average that each step keeps, in [0, 1). The average reaches back about 1 / (1 - decay) steps, which
    should be a small part of the run: weights from when the learning rate was high do not fit those from its end."""
    warmup_steps: int = 500
    """Number of steps at the beginning in which the average is a copy of the weights."""
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
    """Largest norm of the gradient; 0 does not clip."""
    accumulate_grad_batches: int = 1
    """Number of batches in one optimizer step."""
    max_skipped_steps: int = 20
    """A step whose loss or gradient is not finite is skipped; the training ends after this many in a row."""
    deterministic: bool = False
    """Use only algorithms that give the same bits every time; slower on a GPU."""
    benchmark: bool = True
    """Let cuDNN try its algorithms and keep the fastest."""
    compile: bool = False
    """Let torch.compile fuse the network: minutes before the first step, fewer milliseconds for each one."""
    recompute_finest_level: bool = False
    """Compute the finest level of an rsunet again for the backward pass instead of keeping its values: larger patches
    or batches fit into the memory, and a step takes longer. The gradients are the same."""
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    scheduler: SchedulerConfig = field(default_factory=SchedulerConfig)
    ema: EMAConfig = field(default_factory=EMAConfig)
