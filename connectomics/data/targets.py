"""What the network learns from a label: ids become one byte a voxel, and later one channel a class."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from connectomics.volumes.labels import split_clefts
from connectomics.volumes.source import Layout

BACKGROUND = 0
"""Code of voxels of no class."""

NOT_ANNOTATED = 255
"""Code of voxels that the loss ignores."""


@dataclass(frozen=True, slots=True)
class Target:
    """A kind of target: which codes its labels become, and which of them each channel holds."""

    encode: Callable[[NDArray, Layout], NDArray[np.uint8]]
    """Ids (1, Z, Y, X) and how they are meant, to codes (Z, Y, X): 0, a class from 1 to 254, or `NOT_ANNOTATED`."""
    classes: tuple[tuple[int, ...], ...]
    """For each channel, the codes that are 1 in it."""

    @property
    def num_channels(self) -> int:
        """Channels of the target."""
        return len(self.classes)

    def channels(self, codes: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return the channels of codes (Z, Y, X): float32, (C, Z, Y, X), 0 or 1."""
        target = np.empty((self.num_channels, *codes.shape), np.float32)
        rows = np.ascontiguousarray(codes).reshape(codes.shape[0], -1)
        for channel, members in zip(target, self.classes, strict=True):
            table = np.zeros(256, np.float32)
            table[list(members)] = 1
            cv2.LUT(rows, table, dst=channel.reshape(rows.shape))
        return target


def encode_clefts(ids: NDArray, layout: Layout) -> NDArray[np.uint8]:
    """Return 1 for cleft voxels, `NOT_ANNOTATED` where nobody looked, else 0; ids are (1, Z, Y, X), codes (Z, Y, X)."""
    label = split_clefts(ids[0], layout)
    codes = label.foreground.view(np.uint8)
    if label.annotated is not None:
        codes[~label.annotated] = NOT_ANNOTATED
    return codes


TARGETS: Mapping[str, Target] = {
    "cleft": Target(encode_clefts, classes=((1,),)),
}
"""`data.target.type` to the target it names."""
