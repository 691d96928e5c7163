"""How far the voxels of one mask lie from another mask: exact, and lean at the size of a whole volume.

A distance is asked for only at the voxels of the first mask. Each section of the second mask is transformed in its
plane; a queried voxel then looks into the sections above and below it for as long as their distance along z alone is
less than the distance already found.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import numpy as np
from numpy.typing import NDArray

from connectomics.geometry import Box, Spacing
from connectomics.metrics.lattice import Lattice, build_lattice
from connectomics.metrics.pair import Mask
from connectomics.metrics.sections import SectionTransforms


@dataclass(frozen=True, slots=True, eq=False)
class DistanceCounts:
    """Every distance that occurs, and at how many voxels: millions of voxels share a few thousand distances.

    Attributes:
        squared: Distinct squared distances in units of `lattice`, ascending, float64, (N,).
        counts: Voxels at each of them, int64, (N,).
        lattice: The unit.
    """

    squared: NDArray[np.float64]
    counts: NDArray[np.int64]
    lattice: Lattice

    @property
    def total(self) -> int:
        """Number of voxels."""
        return int(self.counts.sum())

    @property
    def lengths_nm(self) -> NDArray[np.float64]:
        """The distinct distances, in nanometres, ascending."""
        return np.sqrt(self.squared) * self.lattice.unit_nm

    def mean(self) -> float:
        """Return the mean distance, in nanometres."""
        return float(self.lengths_nm @ self.counts / self.total)

    def std(self) -> float:
        """Return the standard deviation over all voxels (not a sample's), in nanometres."""
        return float(np.sqrt((self.lengths_nm - self.mean()) ** 2 @ self.counts / self.total))

    def median(self) -> float:
        """Return the median distance, in nanometres; of an even number of voxels, the mean of the middle two."""
        last_rank = np.cumsum(self.counts) - 1
        middle = np.searchsorted(last_rank, [(self.total - 1) // 2, self.total // 2])
        return float(self.lengths_nm[middle].mean())

    def max(self) -> float:
        """Return the largest distance, in nanometres."""
        return float(self.lengths_nm[-1])

    def count_farther_than(self, length_nm: float) -> int:
        """Return how many voxels lie strictly farther than `length_nm`."""
        return int(self.counts[self.squared > self.lattice.squared(length_nm)].sum())


@final
class TargetDistances:
    """Distances to the nearest target, asked for the pixels of one section after another.

    Memory beyond the mask: about 256 MiB, and a few arrays of the size of one section.
    """

    def __init__(self, targets: Mask, spacing_nm: Spacing) -> None:
        """Prepare to measure.

        Args:
            targets: Voxels that distances lead to, bool, (Z, Y, X); at least one.
            spacing_nm: Voxel size along (z, y, x), in nanometres.
        """
        self.lattice = build_lattice(spacing_nm, targets.shape)
        self._transforms = SectionTransforms(targets, self.lattice.weights[1:])

    def squared(self, z: int, pixels: NDArray[np.intp]) -> NDArray[np.float64]:
        """Return the squared distances, in units of `lattice`, from pixels of the raveled section `z`, (N,)."""
        squared = np.zeros(len(pixels))
        outside = ~self._transforms.targets[z].reshape(-1)[pixels]
        squared[outside] = _search(z, pixels[outside], self._transforms, self.lattice.weights[0])
        return squared


def measure_distances(queried: Mask, targets: Mask, spacing_nm: Spacing) -> DistanceCounts:
    """Measure the distance of each queried voxel to the nearest target, between voxel centres.

    Memory beyond the masks: about 256 MiB, whatever the masks hold, and a few arrays of the size of one section.

    Args:
        queried: Voxels that distances are asked for, bool, (Z, Y, X).
        targets: Voxels that distances lead to, bool, same shape.
        spacing_nm: Voxel size along (z, y, x), in nanometres.

    Raises:
        ValueError: If the shapes differ, or a mask is empty and no distance exists.
    """
    if queried.shape != targets.shape:
        raise ValueError(f"queried has shape {queried.shape}, targets has {targets.shape}")
    box = find_extent(queried, targets)
    queried, targets = queried[box.slices], targets[box.slices]
    if not queried.any() or not targets.any():
        raise ValueError("no distance exists: a mask is empty")
    lattice = build_lattice(spacing_nm, queried.shape)
    transforms = SectionTransforms(targets, lattice.weights[1:])
    parts = [_count_section(z, queried[z], transforms, lattice.weights[0]) for z in range(len(queried))]
    squared, where = np.unique(np.concatenate([part[0] for part in parts]), return_inverse=True)
    counts = np.zeros(len(squared), np.int64)
    np.add.at(counts, where, np.concatenate([part[1] for part in parts]))
    return DistanceCounts(squared, counts, lattice)


def find_extent(first: Mask, second: Mask) -> Box:
    """Return the smallest box that holds every voxel of both masks; it is empty where both are."""
    sections = np.zeros(first.shape[0], bool)
    rows = np.zeros(first.shape[1], bool)
    columns = np.zeros(first.shape[2], bool)
    for z, (above, below) in enumerate(zip(first, second, strict=True)):
        either = above | below
        occupied = either.any(axis=1)
        sections[z] = occupied.any()
        rows |= occupied
        columns |= either.any(axis=0)
    ends = [_find_ends(axis) for axis in (sections, rows, columns)]
    return Box((ends[0][0], ends[1][0], ends[2][0]), (ends[0][1], ends[1][1], ends[2][1]))


def _find_ends(occupied: NDArray[np.bool_]) -> tuple[int, int]:
    """Return where the occupied positions of an axis start and stop."""
    some = np.flatnonzero(occupied)
    return (int(some[0]), int(some[-1]) + 1) if len(some) else (0, 0)


def _count_section(
    z: int, queried: Mask, transforms: SectionTransforms, weight_z: float
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return the distinct squared distances of the queried pixels of section `z`, and how often each occurs."""
    outside = np.flatnonzero(queried & ~transforms.targets[z])
    inside = np.count_nonzero(queried) - len(outside)
    squared, counts = np.unique(_search(z, outside, transforms, weight_z), return_counts=True)
    if inside:
        return np.append(squared, 0.0), np.append(counts, inside)
    return squared, counts


def _search(z: int, pixels: NDArray[np.intp], transforms: SectionTransforms, weight_z: float) -> NDArray[np.float64]:
    """Return the squared distance of pixels of section `z` to the nearest target of any section."""
    best = np.full(len(pixels), np.inf)
    open_ = np.arange(len(pixels))  # the pixels that a section `step` away could still bring nearer
    for step in range(len(transforms.targets)):
        apart = weight_z * step**2
        open_ = open_[best[open_] > apart]
        if not len(open_):
            break
        for section in {z - step, z + step}:
            found = transforms.squared_at(section, pixels[open_], centre=z)
            if found is not None:
                best[open_] = np.minimum(best[open_], found + apart)
    return best
