"""Sections on the page of a tuning: enough to draw there the mask of every threshold and minimum size."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from connectomics.reports.pictures import choose_tried_size, encode_gray, encode_levels

PARTS = 3
"""One section is shown of each of so many parts of a volume."""


@dataclass(frozen=True, slots=True, eq=False)
class TriedSection:
    """One section, (Y, X) each."""

    z: int
    gray: NDArray[np.uint8]
    levels: Sequence[NDArray[np.uint8]]
    """For each minimum size, ascending: the mask at threshold `i` (from 0, ascending) is where it is more than `i`."""
    truth: NDArray[np.bool_]
    """Annotated cleft voxels."""


def busiest(voxels: NDArray[np.integer]) -> list[int]:
    """Return the section with the most voxels of each part of a volume, from the number of every section's."""
    parts = np.array_split(np.arange(len(voxels)), min(PARTS, len(voxels)))
    return [int(part[voxels[part].argmax()]) for part in parts]


def encode_section(section: TriedSection) -> dict[str, Any]:
    """Return a section as the page holds it: a picture, and the levels and the annotation as pictures beside it."""
    size = choose_tried_size(section.gray.shape)
    return {
        "raw": encode_gray(section.gray, size),
        "levels": [encode_levels(one, size) for one in section.levels],
        "truth": encode_levels(section.truth.astype(np.uint8), size),
    }
