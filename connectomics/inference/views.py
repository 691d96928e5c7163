"""Mirrored and rotated views of a window, and how their predictions are combined."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, combinations
from typing import Literal, final

import torch
from torch import Tensor

from connectomics.errors import ConfigError

SECTION_PLANE = frozenset({1, 2})


@dataclass(frozen=True, slots=True)
class View:
    """One way to look at a window: turned by 90 degrees in the section plane or not, then mirrored (axis 0 is z).

    Turned and mirrored along both axes of the plane is a turn by 270 degrees.
    """

    flips: tuple[int, ...] = ()
    turned: bool = False

    def of(self, window: Tensor) -> Tensor:
        """Return the view of a window (..., Z, Y, X)."""
        turned = torch.rot90(window, 1, (-2, -1)) if self.turned else window
        return torch.flip(turned, self._dimensions) if self.flips else turned

    def undo(self, prediction: Tensor) -> Tensor:
        """Return the prediction of a view, (..., Z, Y, X), as it lies in the window."""
        turned = torch.flip(prediction, self._dimensions) if self.flips else prediction
        return torch.rot90(turned, -1, (-2, -1)) if self.turned else turned

    @property
    def _dimensions(self) -> list[int]:
        return [axis - 3 for axis in self.flips]


def all_views(flip_axes: Literal["all"] | Sequence[int], quarter_turns: bool = False) -> tuple[View, ...]:
    """Return the mirrorings along `flip_axes` in all combinations, each also turned by 90, 180 and 270 degrees.

    Args:
        flip_axes: Axes (0 is z); "all" are three, and give 8 views.
        quarter_turns: Whether the section plane is turned; with "all", 16 views.

    Returns:
        Each view once, the unchanged one first. Those with an even number of changes come before the others, so either
        half of the views has each mirroring in half of its members.
    """
    axes = (0, 1, 2) if flip_axes == "all" else tuple(sorted(set(flip_axes)))
    mirrored = {frozenset(some) for some in chain.from_iterable(combinations(axes, n) for n in range(len(axes) + 1))}
    if quarter_turns:
        mirrored |= {flips ^ SECTION_PLANE for flips in mirrored}
    views = {View(tuple(sorted(flips)), turned) for flips in mirrored for turned in {False, quarter_turns}}
    return tuple(sorted(views, key=lambda v: ((len(v.flips) + v.turned) % 2, v.turned, len(v.flips), v.flips)))


def share_views(views: tuple[View, ...], per_window: int) -> tuple[tuple[View, ...], ...]:
    """Return groups of `per_window` views; a window sees one group, the windows beside it the next.

    Raises:
        ConfigError: If the views cannot be shared out evenly.
    """
    if per_window > len(views) or len(views) % per_window:
        raise ConfigError(
            f"inference.test_time_augmentation.views_per_window is {per_window}; it must be a divisor of the number of "
            f"views, which is {len(views)}"
        )
    return tuple(views[i : i + per_window] for i in range(0, len(views), per_window))


def _add(total: Tensor, prediction: Tensor) -> None:
    total.add_(prediction)


def _keep_smaller(total: Tensor, prediction: Tensor) -> None:
    torch.minimum(total, prediction, out=total)


def _keep_larger(total: Tensor, prediction: Tensor) -> None:
    torch.maximum(total, prediction, out=total)


ENSEMBLES: Mapping[str, Callable[[Tensor, Tensor], None]] = {"mean": _add, "min": _keep_smaller, "max": _keep_larger}
"""`inference.test_time_augmentation.ensemble_mode` to what adds one more view to those combined so far."""


@final
class Ensemble:
    """Joins the views of one window one by one, so that the memory does not grow with their number."""

    def __init__(self, mode: Literal["mean", "min", "max"]) -> None:
        self._join, self._averages = ENSEMBLES[mode], mode == "mean"
        self._joined: Tensor | None = None
        self._count = 0

    def add(self, prediction: Tensor) -> None:
        """Take in the prediction of one view, as it lies in the window, (C, Z, Y, X)."""
        if self._joined is None:
            self._joined = prediction.clone(memory_format=torch.contiguous_format)
        else:
            self._join(self._joined, prediction)
        self._count += 1

    def result(self) -> Tensor:
        """Return the joined prediction, (C, Z, Y, X); nothing can be added any more."""
        if self._joined is None:
            raise ValueError("an ensemble of no views has no result")
        return self._joined.div_(self._count) if self._averages else self._joined
