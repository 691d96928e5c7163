"""What is known of one section before its pixels are read."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, slots=True)
class Look:
    """Form of a section."""

    shape: tuple[int, int]
    """Extent along (y, x), in pixels."""
    dtype: np.dtype
    remark: str = ""
    """What a person should know about how its numbers are taken."""
