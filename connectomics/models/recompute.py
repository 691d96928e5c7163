"""Memory for time: a part of a network whose values are computed again for the backward pass."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.checkpoint import checkpoint


def recompute(part: nn.Module, *given: Tensor) -> Tensor:
    """Return `part(*given)`, and keep of it only what it was given; the gradients are the same.

    Batch norm counts a batch once: when it is computed again, the running statistics stay as they are.
    """
    found: Tensor = checkpoint(
        part, *given, use_reentrant=False, preserve_rng_state=False, context_fn=lambda: (nullcontext(), _second(part))
    )
    return found


@contextmanager
def _second(part: nn.Module) -> Iterator[None]:
    """Give a batch that was counted already no share in the running statistics."""
    norms = [m for m in part.modules() if isinstance(m, _BatchNorm) and m.training and m.track_running_stats]
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.momentum = 0.0
    try:
        yield
    finally:
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum
            if norm.num_batches_tracked is not None:
                norm.num_batches_tracked.sub_(1)
