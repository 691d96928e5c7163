"""The displacement between two sections, by phase correlation, and how alike they are once it is undone."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod, sqrt

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from connectomics.alignment.section_views import SectionView, fading

CANDIDATES = 4
"""How many peaks of the coarse correlation are tried."""

ELSEWHERE = 8
"""Displacements that differ by more than this many pixels of the coarse view are different ones."""

TILE = 512
"""Side of the tiles of which the fine correlation is the sum, in pixels."""

TILES = 3
"""Most tiles along each axis; they are spread over what both sections show."""

LEAST_OVERLAP = 0.25
"""Least share of each side of a section that both sections must show."""

COARSE_BAND = 0.12
"""Standard deviation of the Gaussian that weights the frequencies of coarse views, in cycles per pixel."""

FINE_BAND = 0.05
"""Standard deviation of the Gaussian for fine views, in cycles per pixel; finer detail differs between sections."""


@dataclass(frozen=True, slots=True)
class Displacement:
    """How a section lies off another one."""

    y: float
    """How far down the tissue lies in the second section, in pixels and fractions of them."""
    x: float
    """How far to the right the tissue lies in the second section, in pixels and fractions of them."""
    similarity: float
    """Correlation of the coarse textures once the displacement is undone, from -1 to 1; lower where the sections share
    little."""
    chance: float
    """Similarity of the best displacement elsewhere, which sections with nothing in common reach as well."""


def find_displacement(first: SectionView, second: SectionView) -> Displacement:
    """Find how far the second section lies off the first, and how alike they are.

    The coarse views give a few candidates by phase correlation, of which the one counts that makes the sections most
    alike; the sum of the phase correlations of tiles at full resolution gives the fraction of a pixel. Each tile counts
    alike, so that a fold or a crack does not outweigh the rest.

    Source:
        Kuglin and Hines, "The phase correlation image alignment method", 1975.
    """
    surface = fft.irfft2(
        _phases(first.spectrum, second.spectrum, first.coarse.shape, COARSE_BAND), s=first.coarse.shape
    )
    tried = [(_evidence(first, second, at), at) for at in _peaks(surface)]
    alike, (y, x) = max(tried)
    elsewhere = [other for other, at in tried if max(abs(at[0] - y), abs(at[1] - x)) > ELSEWHERE]
    factor = first.factor
    fine = _refine(first.fine, second.fine, (y * factor, x * factor), reach=2 * factor + 2)
    if factor > 1:
        alike = max(alike, _evidence(first, second, (round(fine[0] / factor), round(fine[1] / factor))))
    return Displacement(*fine, alike, max(elsewhere, default=0.0))


def similarity(first: NDArray, second: NDArray, displacement: tuple[int, int]) -> float:
    """Return the correlation, from -1 to 1, of two sections where both show tissue once a displacement is undone."""
    y, x = displacement
    height, width = first.shape
    a = first[max(0, -y) : height - max(0, y), max(0, -x) : width - max(0, x)]
    b = second[max(0, y) : height - max(0, -y), max(0, x) : width - max(0, -x)]
    if a.shape[0] < LEAST_OVERLAP * height or a.shape[1] < LEAST_OVERLAP * width:
        return -1.0
    a, b = (part.astype(np.float32, copy=False) - part.mean(dtype=np.float32) for part in (a, b))
    norm = float(np.sqrt(np.vdot(a, a) * np.vdot(b, b)))
    return float(np.vdot(a, b)) / norm if norm > 0 else 0.0


def _evidence(first: SectionView, second: SectionView, displacement: tuple[int, int]) -> float:
    """Return the similarity, less where chance reaches further, since fewer pixels are compared."""
    common = prod(1 - min(1.0, abs(d) / n) for d, n in zip(displacement, first.coarse.shape, strict=True))
    return similarity(first.coarse, second.coarse, displacement) * sqrt(common)


def _phases(first: NDArray, second: NDArray, shape: tuple[int, ...], band: float) -> NDArray[np.complex64]:
    """Return the phases of a cross-spectrum; its inverse has a peak at the displacement."""
    cross = second * np.conj(first)
    cross /= np.abs(cross) + np.float32(1e-9)
    y, x = fft.fftfreq(shape[0]).astype(np.float32), fft.rfftfreq(shape[1]).astype(np.float32)
    weights = np.exp(-(y[:, np.newaxis] ** 2 + x**2) / np.float32(2 * band**2))
    return cross * weights


def _peaks(surface: NDArray[np.float32]) -> list[tuple[int, int]]:
    """Return the displacements of the highest peaks of a periodic surface; (0, 0) is always tried."""
    left, found = surface.copy(), [(0, 0)]
    height, width = surface.shape
    for _ in range(CANDIDATES):
        y, x = divmod(int(left.argmax()), width)
        rows, columns = (np.arange(at - 2, at + 3) % n for at, n in ((y, height), (x, width)))
        left[np.ix_(rows, columns)] = -np.inf
        found.append((_signed(y, height), _signed(x, width)))
    return found


def _signed(at: int, extent: int) -> int:
    return at - extent if at > extent // 2 else at


def _refine(
    first: NDArray[np.int8], second: NDArray[np.int8], about: tuple[int, int], reach: int
) -> tuple[float, float]:
    """Return a displacement that is known to `reach` pixels, to a fraction of a pixel."""
    side = min(TILE, *(n - abs(d) for n, d in zip(first.shape, about, strict=True)))
    shape, weights = (side, side), fading((side, side))
    total = np.zeros((side, side // 2 + 1), np.complex64)
    for y, x in _tiles(first.shape, about, side):
        a = first[y : y + side, x : x + side] * weights
        b = second[y + about[0] : y + about[0] + side, x + about[1] : x + about[1] + side] * weights
        total += _phases(fft.rfft2(a), fft.rfft2(b), shape, FINE_BAND)
    surface = fft.irfft2(total, s=shape)
    reach = min(reach, (side - 1) // 2)
    near = np.roll(surface, (reach, reach), (0, 1))[: 2 * reach + 1, : 2 * reach + 1]
    y, x = divmod(int(near.argmax()), 2 * reach + 1)
    dy, dx = _vertex(near[:, x], y), _vertex(near[y], x)
    return about[0] + y - reach + dy, about[1] + x - reach + dx


def _tiles(shape: tuple[int, ...], about: tuple[int, int], side: int) -> list[tuple[int, int]]:
    """Return the corners, in the first section, of tiles that both sections show whole."""
    corners = []
    for extent, displacement in zip(shape, about, strict=True):
        low, high = max(0, -displacement), extent - max(0, displacement) - side
        count = min(TILES, 1 + (high - low) // max(1, side // 2))
        corners.append(sorted({round(at) for at in np.linspace(low, high, count).tolist()}) if count > 1
                       else [(low + high) // 2])  # fmt: skip
    return [(y, x) for y in corners[0] for x in corners[1]]


def _vertex(values: NDArray[np.float32], at: int) -> float:
    """Return where the parabola through a maximum and its two neighbours is highest, from -0.5 to 0.5."""
    if not 0 < at < len(values) - 1:
        return 0.0
    before, here, after = (float(v) for v in values[at - 1 : at + 2])
    bend = before - 2 * here + after
    return 0.0 if bend >= 0 else float(np.clip(0.5 * (before - after) / bend, -0.5, 0.5))
