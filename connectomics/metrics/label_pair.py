"""Predicted and annotated ids on one grid, with the voxels that do not count taken out of both."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from connectomics.geometry import Spacing
from connectomics.metrics.pair import Mask, MaskPair, on_one_grid

Labels = NDArray[np.unsignedinteger] | Mask
"""Ids, 0 (or False) for the background, (Z, Y, X)."""


@dataclass(frozen=True, eq=False)
class LabelPair:
    """What every metric is given: a prediction, and the truth that it is scored against.

    Excluded voxels are background in both: `predicted` and `truth` are copied without them where they held any.

    Attributes:
        predicted: Ids of what was predicted, unsigned or bool, 0 for the background, (Z, Y, X).
        truth: Ids of what was annotated, the same.
        spacing_nm: Voxel size along (z, y, x), in nanometres.
        annotated: Voxels that count, bool, same shape; None when all of them do.
        sided: Whether the ids 2k - 1 and 2k are the two sides of synapse k; otherwise an object is a component of what
            is not 0.
        labelled: What was found out about sides, once it was asked for: see `polarity.pair_sides`.

    Raises:
        GridError: If the shapes differ (it is a ValueError and a VolumeError).
        ValueError: If ids are of another type, or not of three axes.
    """

    predicted: Labels
    truth: Labels
    spacing_nm: Spacing
    annotated: Mask | None = None
    sided: bool = False
    labelled: dict[str, Any] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        predicted, truth = on_one_grid(self.predicted, self.truth, self.annotated, "bu", "ids are unsigned")
        object.__setattr__(self, "predicted", predicted)
        object.__setattr__(self, "truth", truth)

    @cached_property
    def masks(self) -> MaskPair:
        """The foreground of both."""
        return MaskPair(_foreground(self.predicted), _foreground(self.truth), self.spacing_nm, self.annotated)


def _foreground(ids: Labels) -> Mask:
    """Return where there is anything: the array itself where it is bool."""
    return np.asarray(ids, np.bool_) if ids.dtype == np.bool_ else ids != 0
