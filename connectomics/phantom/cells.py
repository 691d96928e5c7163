"""The cells of the phantom: a partition of the tissue into wobbly, elongated bodies."""

from dataclasses import dataclass
from itertools import product
from math import ceil, prod

import numpy as np
from numpy.typing import NDArray

from connectomics.geometry import ZYX, Box
from connectomics.phantom.noise import smooth_noise

SECTION_PX = 5.0
"""Thickness of one section in pixels of the section plane: 40 nm against 8 nm."""

SITES_PER_CELL = 3

_DIAMETER_PX = 44.0
"""Typical width of a cell, in pixels of the section plane."""

_STRETCH = 1.6
"""How much longer the cells are along z than across, so that most membranes are perpendicular to the sections."""

_TILE = (4, 64, 64)


@dataclass(frozen=True, slots=True)
class Cells:
    """Which cell each voxel belongs to, and the membrane next to it; every array is (Z, Y, X)."""

    body: NDArray[np.int32]
    """Number of the cell, from 0."""
    neighbour: NDArray[np.int32]
    """Number of the cell beyond the nearest membrane."""
    depth: NDArray[np.float32]
    """Distance to the nearest membrane in three dimensions, in pixels of the section plane."""
    tilt: NDArray[np.float32]
    """How obliquely the membrane is cut: 0 where it is perpendicular to the section, 1 where it lies in it."""
    count: int
    """How many cells there are; a few lie outside the volume."""


@dataclass(frozen=True, slots=True)
class _Sites:
    """Points that attract tissue; a cell owns a row of them, which makes it elongated."""

    position: NDArray[np.float32]
    """Positions along (z, y, x), in pixels, (cells, SITES_PER_CELL, 3)."""
    reach: NDArray[np.float32]
    """Squared head start of each cell in the contest for tissue, (cells, 1), in square pixels."""


def grow_cells(shape: ZYX, rng: np.random.Generator) -> Cells:
    """Partition a volume into cells.

    A power diagram of short rows of sites, seen through a smooth random warp: no wall is straight, cells run in
    all directions and differ in size.

    Args:
        shape: Extent along (z, y, x), in voxels.
        rng: Source of randomness.

    Returns:
        The partition.
    """
    sites = _scatter_sites(shape, rng)
    place = _warped_positions(shape, rng)  # (Z, Y, X, 3)
    body, neighbour = np.empty(shape, np.int32), np.empty(shape, np.int32)
    depth, tilt = np.empty(shape, np.float32), np.empty(shape, np.float32)
    for start in product(*(range(0, n, step) for n, step in zip(shape, _TILE, strict=True))):
        at = Box.at(start, _TILE).slices
        points = place[at].reshape(-1, 3)
        for whole, part in zip((body, neighbour, depth, tilt), _settle(points, sites), strict=True):
            whole[at] = part.reshape(whole[at].shape)
    return Cells(body, neighbour, depth, tilt, count=len(sites.position))


def _scatter_sites(shape: ZYX, rng: np.random.Generator) -> _Sites:
    """Draw the sites of all cells, those just outside the volume included."""
    margin = _DIAMETER_PX
    extent = np.array([shape[0] * SECTION_PX / _STRETCH, shape[1], shape[2]]) + 2 * margin
    elongation = 1.6
    count = max(4, ceil(prod(extent) / (elongation * _DIAMETER_PX**3)))
    centre = rng.random((count, 1, 3)) * extent - margin
    direction = rng.standard_normal((count, 1, 3))
    direction /= np.linalg.norm(direction, axis=-1, keepdims=True)
    step = rng.uniform(0.3, 1.0, (count, 1, 1)) * _DIAMETER_PX
    row = np.arange(SITES_PER_CELL).reshape(1, -1, 1) - (SITES_PER_CELL - 1) / 2
    reach = rng.uniform(0, 0.9 * _DIAMETER_PX, (count, 1)) ** 2
    return _Sites((centre + row * step * direction).astype(np.float32), reach.astype(np.float32))


def _warped_positions(shape: ZYX, rng: np.random.Generator) -> NDArray[np.float32]:
    """Return where each voxel looks for its cell: its place, displaced smoothly; (Z, Y, X, 3) in pixels."""
    axes = [np.arange(n, dtype=np.float32) for n in shape]
    place = np.stack(np.meshgrid(axes[0] * np.float32(SECTION_PX / _STRETCH), axes[1], axes[2], indexing="ij"), axis=-1)
    for scale, shift in ((44.0, 9.0), (18.0, 3.8)):
        for axis in range(3):
            wobble = smooth_noise(rng, shape, (max(scale / SECTION_PX, 4.0), scale, scale))
            place[..., axis] += np.float32(shift) * wobble
    return place


def _settle(points: NDArray[np.float32], sites: _Sites) -> tuple[NDArray[np.generic], ...]:
    """Return the nearest cell, the second nearest, the distance to their wall and its tilt at each of `points`."""
    near = _contenders(points, sites)
    position = sites.position[near].reshape(-1, 3)
    handicap = (position**2).sum(axis=1) - np.repeat(sites.reach[near, 0], SITES_PER_CELL)
    power = points @ (-2 * position.T) + handicap  # (points, sites), short of the points' own square
    rows = np.arange(len(points))
    first = power.argmin(axis=1)
    best = power[rows, first]
    power.reshape(len(points), len(near), SITES_PER_CELL)[rows, first // SITES_PER_CELL] = np.inf
    second = power.argmin(axis=1)
    across = position[second] - position[first]
    length = np.maximum(np.linalg.norm(across, axis=1), 1.0)
    depth = (power[rows, second] - best) / (2 * length)
    return near[first // SITES_PER_CELL], near[second // SITES_PER_CELL], depth, np.abs(across[:, 0]) / length


def _contenders(points: NDArray[np.float32], sites: _Sites) -> NDArray[np.intp]:
    """Return the cells that can be nearest or second nearest to a point of the points' bounding box."""
    low, high = points.min(axis=0), points.max(axis=0)
    outside = np.maximum(np.maximum(low - sites.position, sites.position - high), 0)
    farthest = np.maximum(sites.position - low, high - sites.position)
    least = (outside**2).sum(axis=-1).min(axis=1) - sites.reach[:, 0]
    most = (farthest**2).sum(axis=-1).min(axis=1) - sites.reach[:, 0]
    return np.flatnonzero(least <= np.partition(most, 1)[1])
