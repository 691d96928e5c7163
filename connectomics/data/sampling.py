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
    """Draws a volume, and a position in it, with the odds of drawing positions of all volumes until one is accepted.

    All positions of all volumes are alike, so that a large volume gives more patches than a small one, and the share
    of patches that reach the threshold is that of `accepted_share` over all volumes together. `weights` change how
    often each volume is drawn; within a volume nothing changes.
    """

    positions: Sequence[Positions]
    p: float
    """Probability with which a poor position is rejected."""
    weights: Sequence[float] | None = None
    """How often each volume is drawn, relative to the others; None is by the number of positions it accepts."""

    def draw(self, rng: np.random.Generator) -> tuple[int, ZYX]:
        """Draw which volume, and where in it (z, y, x)."""
        volume = self._draw_volume(rng)
        here = self.positions[volume]
        chosen = here.rich if rng.random() < accepted_share(len(here.rich), len(here.poor), self.p) else here.poor
        return volume, here.place(chosen[int(rng.integers(len(chosen)))])

    def _draw_volume(self, rng: np.random.Generator) -> int:
        """Draw a volume; the only one that can be drawn takes nothing from the generator."""
        odds = self.weights or [len(here.rich) + (1 - self.p) * len(here.poor) for here in self.positions]
        drawn = np.flatnonzero(odds)
        if len(drawn) == 1:
            return int(drawn[0])
        *bounds, total = np.cumsum([odds[int(i)] for i in drawn])
        return int(drawn[np.searchsorted(bounds, rng.random() * total, side="right")])


def build_sampler(
    names: Sequence[str],
    positions: Sequence[Positions],
    reject: RejectSamplingConfig,
    weights: Sequence[float] | None = None,
) -> PatchSampler:
    """Build the sampler of the training volumes.

    Args:
        names: What the volumes are called, for messages.
        positions: Where patches may lie in them.
        reject: `data.dataloader.reject_sampling`.
        weights: `data.dataloader.volume_weights`; one that weighs 0 is never drawn, and nothing is asked of it.

    Raises:
        UserError: If a volume has no position to draw, none of any volume reaches the threshold, or a weight asks for
            patches of a volume where all are rejected.
    """
    key = "data.dataloader.reject_sampling"
    used = [i for i in range(len(names)) if weights is None or weights[i] > 0]
    for name, here in ((names[i], positions[i]) for i in used):
        if not len(here.rich) and not len(here.poor):
            raise UserError(
                f"{name}: no patch of data.dataloader.patch_size is annotated by more than half; "
                "its mask or label excludes everything else"
            )
    if not is_on(reject):
        return PatchSampler(positions, 0.0, weights)
    if not any(len(positions[i].rich) for i in used):
        raise UserError(
            f"{key}.size_thres is {reject.size_thres}, but no patch of any training volume holds so many foreground "
            f"voxels; the largest count found is {max(positions[i].largest for i in used)}"
        )
    for name, here in ((names[i], positions[i]) for i in used if weights is not None):
        if reject.p == 1 and not len(here.rich):
            raise UserError(
                f"{name}: no patch holds {key}.size_thres = {reject.size_thres} foreground voxels (the largest count "
                f"found is {here.largest}), and with {key}.p = 1 all others are rejected; its weight in "
                "data.dataloader.volume_weights must be 0"
            )
    return PatchSampler(positions, reject.p, weights)


def is_on(reject: RejectSamplingConfig) -> bool:
    """Return whether anything is ever rejected."""
    return reject.size_thres > 0 and reject.p > 0
