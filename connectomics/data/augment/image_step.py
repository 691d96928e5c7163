"""What all augmentations of the image alone have in common."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from connectomics.data.patch import Patch
from connectomics.geometry import ZYX, Box


@dataclass(frozen=True, slots=True)
class ImageStep(ABC):
    """An augmentation that changes the image and leaves the target as it is."""

    @abstractmethod
    def __call__(self, patch: Patch, rng: np.random.Generator) -> Patch:
        """Return a patch with a new image; the same object when the step does not happen."""


def draw_box(shape: ZYX, length_ratio: float, rng: np.random.Generator) -> Box:
    """Draw the position of a box that has `length_ratio` of the extent of `shape` along each axis."""
    lengths = [max(1, round(n * length_ratio)) for n in shape]
    start = [int(rng.integers(0, n - length, endpoint=True)) for n, length in zip(shape, lengths, strict=True)]
    return Box.at(start, lengths)


def draw_sections(depth: int, most: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Draw 1 to `most` distinct sections of a patch of `depth` sections; no more than it has."""
    count = min(int(rng.integers(1, most, endpoint=True)), depth)
    return rng.choice(depth, size=count, replace=False)


def draw_fill(mean: float, rng: np.random.Generator) -> np.float32:
    """Draw what lost tissue is filled with: black, or (as often) the mean grey value of the volume."""
    return np.float32(mean if rng.random() < 0.5 else 0)
