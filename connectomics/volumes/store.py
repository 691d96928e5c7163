"""What a volume is written into, layer by layer."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
from zarr.codecs import ZstdCodec

from connectomics.geometry import ZYX

WHOLE: Mapping[str, Any] = {"compressors": ZstdCodec(checksum=True), "config": {"write_empty_chunks": True}}
"""How a Zarr array is created: so that a turned bit is noticed when it is read, and a chunk that is not there."""


class Store(ABC):
    """An open file with one dataset, `main`, that takes layers: boxes of whole chunks."""

    @abstractmethod
    def write_layer(self, start: ZYX, layer: npt.NDArray) -> None:
        """Write a layer (n, Y, X) or (C, n, Y, X) that begins at voxel `start`, a corner of a chunk."""

    @abstractmethod
    def close(self) -> None:
        """Finish the file."""


def as_json(value: Any) -> Any:
    """Return an attribute as JSON has it."""
    return value.tolist() if isinstance(value, np.ndarray | np.generic) else value
