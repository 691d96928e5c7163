"""The texture of a section, by which sections are compared: fine and coarse, without slow changes of brightness."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy import fft

COARSE_SIDE = 512
"""Approximate shorter side of the coarse view of a large section, in pixels; never less."""

USUAL_FACTOR = 4
"""Factor by which smaller sections are reduced, down to a side of `LEAST_SIDE`: what neighbours share is larger than
pixels."""

LEAST_SIDE = 64

SMOOTHING = 1.0
"""Standard deviation of the Gaussian that removes noise, in pixels of the view."""

SURROUNDINGS = 12.0
"""Standard deviation of the Gaussian that gives the surroundings of a pixel, in pixels of the view."""

CLIP = 2.5
"""Texture is clipped at this many standard deviations, so that the edge of a fold or black area weighs no more than a
membrane."""

QUARTILES = 1.349
"""How far the quartiles of a normal distribution lie apart, in standard deviations."""

FINE_LEVELS = 127 / CLIP
"""How many grey levels one standard deviation takes in a fine view, which holds one byte per pixel."""


@dataclass(frozen=True, slots=True, eq=False)
class SectionView:
    """A section as it is compared with others."""

    fine: NDArray[np.int8]
    """Texture at full resolution, (Y, X)."""
    coarse: NDArray[np.float32]
    """Texture of the reduced section, (Y / factor, X / factor)."""
    spectrum: NDArray[np.complex64]
    """Spectrum of the coarse texture, faded out towards its borders."""
    factor: int
    """How many pixels of the section lie along one pixel of the coarse view."""
    contrast: float
    """Standard deviation of the texture, in grey values, taken from its quartiles, which cracks and folds do not
    move."""


def view_section(section: NDArray) -> SectionView:
    """Return what of a section (Y, X) is compared with others."""
    factor = choose_factor(min(section.shape))
    small = _shrunk(section.astype(np.float32, copy=False), factor)
    background = cv2.GaussianBlur(small, (0, 0), SURROUNDINGS)
    coarse, contrast = _texture(cv2.GaussianBlur(small, (0, 0), SMOOTHING) - background)
    height, width = section.shape
    slow = background if factor == 1 else cv2.resize(background, (width, height), interpolation=cv2.INTER_LINEAR)
    fine, _ = _texture(cv2.GaussianBlur(section, (0, 0), SMOOTHING).astype(np.float32) - slow)
    spectrum = fft.rfft2(coarse * fading(coarse.shape))
    return SectionView((fine * np.float32(FINE_LEVELS)).astype(np.int8), coarse, spectrum, factor, contrast)


def choose_factor(side: int) -> int:
    """Return how many pixels make one of the coarse view, for sections whose shorter side is `side`."""
    return max(1, side // COARSE_SIDE, min(USUAL_FACTOR, side // LEAST_SIDE))


def fading(shape: tuple[int, ...]) -> NDArray[np.float32]:
    """Return weights (Y, X) that fade out towards the borders, where a spectrum would see a jump."""
    y, x = (np.hanning(n + 2)[1:-1].astype(np.float32) for n in shape)
    return np.sqrt(np.outer(y, x))


def _shrunk(section: NDArray[np.float32], factor: int) -> NDArray[np.float32]:
    if factor == 1:
        return section
    height, width = (n // factor for n in section.shape)
    whole = section[: height * factor, : width * factor]
    return np.asarray(cv2.resize(whole, (width, height), interpolation=cv2.INTER_AREA), np.float32)


def _texture(differences: NDArray[np.float32]) -> tuple[NDArray[np.float32], float]:
    """Return differences from the surroundings in standard deviations, clipped, and that deviation."""
    low, high = np.percentile(differences[:: max(1, differences.shape[0] // COARSE_SIDE)], (25, 75))
    deviation = float(high - low) / QUARTILES
    if deviation < 1e-6:
        return np.zeros_like(differences), 0.0
    scaled = differences / np.float32(deviation)
    return np.clip(scaled, -CLIP, CLIP, out=scaled), deviation
