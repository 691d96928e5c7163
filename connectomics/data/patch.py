"""A training patch: what the network sees, and what it should answer."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, eq=False)
class Patch:
    """An image with its target, cut from a volume; (C, Z, Y, X)."""

    image: NDArray[np.float32]
    """Grey values in [0, 1]."""
    label: NDArray[np.float32]
    """One channel for each class of the target, 0 or 1."""
    valid: NDArray[np.bool_]
    """Annotated voxels, one channel; the loss ignores the others."""
    mean: float = 0.5
    """Mean grey value of the whole volume; what a lost section may be filled with."""
