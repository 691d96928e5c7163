"""The connected components of a mask: one for each synapse that it shows."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil

import cc3d
import numpy as np
from numpy.typing import NDArray

from connectomics.geometry import Connectivity, Spacing
from connectomics.metrics.pair import Mask, MaskPair


@dataclass(frozen=True, slots=True)
class Synapse:
    """One connected component."""

    id: int
    """Id of the component in the labelled mask, from 1; of a synapse with sides, its number."""
    voxels: int
    """Size of the component, in voxels."""
    centroid_nm: Spacing
    """Centre of mass along (z, y, x), in nm from the centre of the volume's first voxel."""


@dataclass(frozen=True, slots=True, eq=False)
class Components:
    """The components of a mask, without the volume of their ids: that takes four bytes a voxel.

    Attributes:
        shared: For each section, the indices (ids less 1) of the voxels that another mask holds too, in raveled order.
        voxels: Size of component `i + 1`, int64, (N,).
        centroids_nm: Centre of mass of each component along (z, y, x), float64, (N, 3).
        numbers: What people call each component: `i + 1`, or the number of a synapse with sides, (N,).
    """

    shared: tuple[NDArray[np.unsignedinteger], ...]
    voxels: NDArray[np.int64]
    centroids_nm: NDArray[np.float64]
    numbers: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.voxels)

    def synapse(self, index: int) -> Synapse:
        """Return component `index + 1`."""
        z, y, x = self.centroids_nm[index].tolist()
        return Synapse(int(self.numbers[index]), int(self.voxels[index]), (z, y, x))


@dataclass(frozen=True, slots=True, eq=False)
class PairComponents:
    """The components of a prediction and of an annotation, or their synapses with sides.

    In the two volumes, component `i + 1` has the id `i + 1` whatever its number is.
    """

    predicted: Components
    truth: Components
    predicted_ids: NDArray[np.unsignedinteger]
    """Ids of the predicted components, 0 elsewhere, (Z, Y, X)."""
    truth_ids: NDArray[np.unsignedinteger]
    """Ids of the annotated components, 0 elsewhere, (Z, Y, X)."""


def pair_components(pair: MaskPair, connectivity: Connectivity) -> PairComponents:
    """Return the components of both masks of a pair, which are labelled when first asked for, and kept with the pair.

    Args:
        pair: The masks.
        connectivity: 6 joins voxels that share a face, 18 an edge, 26 a corner.
    """
    if connectivity not in pair.labelled:
        ours, theirs = label_mask(pair.predicted, connectivity), label_mask(pair.truth, connectivity)
        predicted = measure_components(*ours, pair.truth, pair.spacing_nm)
        truth = measure_components(*theirs, pair.predicted, pair.spacing_nm)
        pair.labelled[connectivity] = PairComponents(predicted, truth, ours[0], theirs[0])
    return pair.labelled[connectivity]


def label_mask(mask: Mask, connectivity: Connectivity = 26) -> tuple[NDArray[np.unsignedinteger], int]:
    """Return the ids of the components of a mask, (Z, Y, X), 0 for the background, and how many there are."""
    if not mask.size:
        return np.zeros(mask.shape, np.uint8), 0
    ids, number = cc3d.connected_components(mask, connectivity=connectivity, return_N=True)
    return ids.astype(np.min_scalar_type(number), copy=False), number


SPECK_SHARE = 0.1
"""Objects below this share of the annotated objects' median size are specks. The median, since annotations have specks
of their own, and objects that the end of the volume cuts."""


def speck_size(annotated: NDArray[np.int64]) -> int:
    """Return the size from which on an object is no speck, in voxels, by the annotated sizes, (N,); 0 without any."""
    return ceil(SPECK_SHARE * float(np.median(annotated))) if len(annotated) else 0


def measure_components(
    ids: NDArray[np.unsignedinteger],
    number: int,
    other: Mask,
    spacing_nm: Spacing,
    numbers: NDArray[np.int64] | None = None,
) -> Components:
    """Measure components that are labelled already.

    Args:
        ids: 0, or the id of a component, (Z, Y, X).
        number: How many there are; their ids are 1 to `number`, and each has a voxel.
        other: The mask that they will be matched with, same shape.
        spacing_nm: Voxel size along (z, y, x), in nanometres.
        numbers: What they are called; their ids when None.
    """
    voxels = np.zeros(number + 1, np.int64)
    sums = np.zeros((3, number + 1))  # of the voxels' positions along (z, y, x)
    for z, section in enumerate(ids):
        pixels = np.flatnonzero(section)
        owners = section.ravel()[pixels]
        rows, columns = np.divmod(pixels, section.shape[1])
        here = np.bincount(owners, minlength=number + 1)
        voxels += here
        sums[0] += z * here
        sums[1] += np.bincount(owners, weights=rows, minlength=number + 1)
        sums[2] += np.bincount(owners, weights=columns, minlength=number + 1)
    shared = tuple(section[(section > 0) & o] - 1 for section, o in zip(ids, other, strict=True))
    centroids = (sums[:, 1:] / voxels[1:]).T * np.asarray(spacing_nm)
    return Components(shared, voxels[1:], centroids, np.arange(1, number + 1) if numbers is None else numbers)
