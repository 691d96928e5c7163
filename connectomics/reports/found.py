"""What a table of objects is made from."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from connectomics.geometry import Spacing
from connectomics.metrics.judged import Judged
from connectomics.metrics.label_pair import LabelPair, Labels
from connectomics.volumes.sections import Sections

Row = Mapping[str, Any]
"""A row by the names of its columns; None is an empty cell."""


@dataclass(frozen=True, slots=True, eq=False)
class Found:
    """What a table is made of."""

    judged: Judged
    """The objects, without the voxels that nobody annotated, and what became of each."""
    probability: Iterable[Sections]
    """The prediction, (C, n, Y, X), section by section, in order and in whole planes."""
    foreground: Callable[[NDArray[np.float32]], NDArray[np.float32]]
    """Maps (C, n, Y, X) to the probability that a voxel belongs to any object, (n, Y, X)."""
    offset_nm: Spacing
    """Position of the first voxel along (z, y, x), in nm."""
    channels: tuple[str, ...]
    """Names of the channels of the prediction."""

    @property
    def pair(self) -> LabelPair:
        """The labels, and the annotated ones."""
        return self.judged.pair

    @property
    def labels(self) -> Labels:
        """The labels, (Z, Y, X)."""
        return self.judged.pair.predicted

    @property
    def spacing_nm(self) -> Spacing:
        """Voxel size along (z, y, x), in nm."""
        return self.judged.pair.spacing_nm
