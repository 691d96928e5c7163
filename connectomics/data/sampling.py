"""Draw where patches lie: rejection sampling, exactly and without redrawing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from connectomics.config.data import RejectSamplingConfig
from connectomics.data.positions import Positions
from connectomics.errors import UserError
from connectomics.geometry import ZYX


def accepted_share(rich: int, poor: int, p: float) -> float:
    """Return which share of the accepted patches reaches the threshold.

    With q = rich / (rich + poor), a draw that fails is rejected with probability p and drawn again, so that
    q / (q + (1 - p)(1 - q)) of the accepted ones reach it.

    Args:
        rich: Positions that reach the threshold.
        poor: Positions that do not.
        p: Probability with which a poor one is rejected.

    Raises:
        ValueError: If nothing would ever be accepted.
    """
    accepted = rich + (1 - p) * poor
    if accepted == 0:
        raise ValueError(f"of {rich} rich and {poor} poor positions none is ever accepted when p is {p}")
    return rich / accepted


@dataclass(frozen=True, slots=True)
class PatchSampler:
    """Draws a volume, each equally likely, and a position in it."""

    positions: Sequence[Positions]
    p: float
    """Probability with which a poor position is rejected."""

    def draw(self, rng: np.random.Generator) -> tuple[int, ZYX]:
        """Draw which volume, and where in it (z, y, x), with the odds of drawing until one is accepted."""
        volume = int(rng.integers(len(self.positions)))
        here = self.positions[volume]
        chosen = here.rich if rng.random() < accepted_share(len(here.rich), len(here.poor), self.p) else here.poor
        return volume, here.place(chosen[int(rng.integers(len(chosen)))])


def build_sampler(names: Sequence[str], positions: Sequence[Positions], reject: RejectSamplingConfig) -> PatchSampler:
    """Build the sampler of the training volumes.

    Args:
        names: What the volumes are called, for messages.
        positions: Where patches may lie in them.
        reject: `data.dataloader.reject_sampling`.

    Raises:
        UserError: If a volume has no position to draw, or none of any volume reaches the threshold.
    """
    key = "data.dataloader.reject_sampling"
    for name, here in zip(names, positions, strict=True):
        if not len(here.rich) and not len(here.poor):
            raise UserError(
                f"{name}: no patch of data.dataloader.patch_size is annotated by more than half; "
                "its mask or label excludes everything else"
            )
    if not is_on(reject):
        return PatchSampler(positions, p=0.0)
    largest = max(here.largest for here in positions)
    if not any(len(here.rich) for here in positions):
        raise UserError(
            f"{key}.size_thres is {reject.size_thres}, but no patch of any training volume holds so many foreground "
            f"voxels; the largest count found is {largest}"
        )
    for name, here in zip(names, positions, strict=True):
        if reject.p == 1 and not len(here.rich):
            raise UserError(
                f"{name}: no patch holds {key}.size_thres = {reject.size_thres} foreground voxels (the largest count "
                f"found is {here.largest}), and with {key}.p = 1 all others are rejected"
            )
    return PatchSampler(positions, reject.p)


def is_on(reject: RejectSamplingConfig) -> bool:
    """Return whether anything is ever rejected."""
    return reject.size_thres > 0 and reject.p > 0
