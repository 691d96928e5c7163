"""An image that may hold NaN where nobody annotated it."""

from __future__ import annotations

from typing import final

import numpy as np
import numpy.typing as npt

from connectomics.geometry import Box
from connectomics.volumes.source import VolumeSource


@final
class FiniteSource(VolumeSource):
    """Another source, where NaN and infinity are read as 0; `source` is that other one."""

    def __init__(self, source: VolumeSource) -> None:
        self.info = source.info
        self.source = source

    def _read(self, box: Box) -> npt.NDArray:
        return np.nan_to_num(self.source.read(box), nan=0.0, posinf=0.0, neginf=0.0)
