"""Squared distances inside one section (z-plane), exact, with a bounded number of sections in memory."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt

LARGEST_SQUARED_DIAGONAL = 3 * 2**20
"""Squared distances, in pixels, up to this one survive a root in float32 and a square in float32: see the tests."""

MEMORY_BYTES = 256 * 2**20
"""Memory for the transforms of sections; those beyond it are computed again when they are asked for."""


@dataclass(slots=True)
class SectionTransforms:
    """The transform of each section of a mask, computed when it is first asked for.

    Attributes:
        targets: The mask that distances lead to, bool, (Z, Y, X).
        weights: What one squared pixel counts for along (y, x).
    """

    targets: NDArray[np.bool_]
    weights: tuple[float, float]
    _kept: dict[int, NDArray[np.floating]] = field(default_factory=dict)

    def squared_at(self, z: int, pixels: NDArray[np.intp], centre: int) -> NDArray[np.float64] | None:
        """Return the weighted squared distances from pixels of section `z` to the targets in it.

        When memory is short the section farthest from `centre` goes first.

        Args:
            z: The section; one outside the volume has no targets.
            pixels: Positions in the raveled section, (N,).
            centre: The section whose distances are being sought.

        Returns:
            Weighted squared distances, (N,), or None where the section has no target.
        """
        if not 0 <= z < len(self.targets):
            return None
        if z not in self._kept:
            if not self.targets[z].any():
                return None
            self._keep(z, centre)
        weight_y, weight_x = self.weights
        found = self._kept[z].ravel()[pixels].astype(np.float64, copy=False)
        return found * weight_x if weight_y == weight_x else found

    def _keep(self, z: int, centre: int) -> None:
        """Compute the transform of section `z`, in pixels where they are square, and make room for it."""
        weight_y, weight_x = self.weights
        self._kept[z] = transform_section(self.targets[z], (1, 1) if weight_y == weight_x else self.weights)
        if len(self._kept) > max(3, MEMORY_BYTES // self._kept[z].nbytes):
            del self._kept[max((kept for kept in self._kept if kept != z), key=lambda kept: abs(kept - centre))]


def transform_section(targets: NDArray[np.bool_], weights: tuple[float, float]) -> NDArray[np.floating]:
    """Return the weighted squared distance of each pixel of a section to its nearest target, exactly.

    Args:
        targets: Pixels that distances lead to, at least one; bool, (Y, X).
        weights: What one squared pixel counts for along (y, x).

    Returns:
        Weighted squared distances, (Y, X); float32 where that holds them all exactly, else float64.
    """
    height, width = targets.shape
    if weights == (1, 1) and height**2 + width**2 <= LARGEST_SQUARED_DIAGONAL:
        return _count_squared_pixels(targets)
    weight_y, weight_x = weights
    nearest = distance_transform_edt(
        ~targets, sampling=(weight_y**0.5, weight_x**0.5), return_distances=False, return_indices=True
    )
    rows, columns = np.ogrid[:height, :width]
    return weight_y * (nearest[0] - rows) ** 2.0 + weight_x * (nearest[1] - columns) ** 2.0


def _count_squared_pixels(targets: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Return squared distances in pixels: whole numbers, in float32.

    OpenCV compares parabolas by the place where they cross. In a section this small the squared heights are whole and
    exact in float32, and the crossing is off by at most `width * 2**-23`, which is less than the `1 / (2 * width)` that
    would hand a pixel to the wrong parabola.
    """
    with _without_ipp():
        distance = cv2.distanceTransform((~targets).view(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    np.multiply(distance, distance, out=distance)
    return np.rint(distance, out=distance)


@contextmanager
def _without_ipp() -> Iterator[None]:
    """Keep OpenCV to its own code: Intel's takes over for narrow images, and is off in the sixth digit."""
    used = cv2.ipp.useIPP()
    cv2.ipp.setUseIPP(False)
    try:
        yield
    finally:
        cv2.ipp.setUseIPP(used)
