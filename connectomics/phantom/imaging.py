"""From tissue to micrograph: stain, focus, drift of the stage, brightness of each section, noise."""

from typing import TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from connectomics.geometry import ZYX
from connectomics.phantom.cells import SECTION_PX, Cells
from connectomics.phantom.noise import smooth_noise

DRIFT_PX = 3
"""Largest shift of a section relative to the tissue, in pixels."""

_MEMBRANE = 52.0

Voxel = TypeVar("Voxel", bound=np.generic)


def stain(cells: Cells, rng: np.random.Generator) -> NDArray[np.float32]:
    """Return the brightness of bare tissue, cytoplasm and membranes, (Z, Y, X), 0 dark to 255 bright.

    A section is a slab: a membrane that runs through it obliquely casts a wide, pale shadow.
    """
    shape = cells.body.shape
    tone = rng.normal(178, 9, cells.count) - 34 * (rng.random(cells.count) < 0.12)
    canvas = tone.astype(np.float32)[cells.body]
    canvas += 7 * smooth_noise(rng, shape, (4.0, 30.0, 30.0))
    canvas += 17 * smooth_noise(rng, shape, (1.0, 3.0, 3.0))
    width = np.clip(1.35 + 0.55 * smooth_noise(rng, shape, (4.0, 28.0, 28.0)), 0.9, 3.2)
    shadow = width + np.float32(SECTION_PX / 2) * cells.tilt**2
    cover = np.exp(-((cells.depth / shadow) ** 4)) * np.sqrt(width / shadow)
    cover *= 1 + 0.1 * smooth_noise(rng, shape, (1.0, 3.5, 3.5))
    canvas += cover * (_MEMBRANE - canvas)
    return canvas


def drift(shape: ZYX, rng: np.random.Generator) -> NDArray[np.int64]:
    """Draw the shift of each section along (y, x), in pixels, at most `DRIFT_PX` either way; (Z, 2)."""
    return np.clip(np.rint(rng.normal(0, 1.0, (shape[0], 2))), -DRIFT_PX, DRIFT_PX).astype(np.int64)


def cut(volume: NDArray[Voxel], shifts: NDArray[np.int64]) -> NDArray[Voxel]:
    """Return each section as the drifting stage shows it, without the border of `DRIFT_PX` around the tissue."""
    height, width = (n - 2 * DRIFT_PX for n in volume.shape[1:])
    corners = shifts + DRIFT_PX
    return np.stack([s[y : y + height, x : x + width] for s, (y, x) in zip(volume, corners, strict=True)])


def expose(canvas: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.uint8]:
    """Photograph each section.

    Args:
        canvas: Brightness of the tissue, (Z, Y, X), 0 to 255.
        rng: Source of randomness.

    Returns:
        The micrographs, (Z, Y, X): slightly out of focus, each with its own brightness, contrast and noise.
    """
    image = np.empty(canvas.shape, np.uint8)
    for section, into in zip(canvas, image, strict=True):
        seen = cv2.GaussianBlur(section, (0, 0), rng.uniform(0.6, 0.85))
        seen = (seen - 128) * rng.uniform(0.88, 1.12) + 128 + rng.normal(0, 7)
        grain = rng.standard_normal(seen.shape, dtype=np.float32)
        grain = 0.75 * grain + 1.1 * cv2.GaussianBlur(grain, (0, 0), 0.8)
        shot = np.sqrt(np.clip(seen, 10, 255) / 150)
        into[:] = np.clip(np.rint(seen + 13 * shot * grain), 0, 255)
    return image
