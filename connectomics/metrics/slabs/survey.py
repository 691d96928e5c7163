"""The objects of a volume that does not fit into the memory, and what became of each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import final

import numpy as np
from numpy.typing import NDArray

from connectomics.geometry import ZYX, Spacing
from connectomics.metrics.components import Components, PairComponents
from connectomics.metrics.judged import Judged
from connectomics.metrics.label_pair import LabelPair
from connectomics.metrics.matching import MatchRule, join
from connectomics.metrics.outcomes import judge_joined
from connectomics.metrics.overlap import VoxelCounts
from connectomics.metrics.pair import Mask
from connectomics.metrics.slabs.joined import JoinedComponents
from connectomics.metrics.slabs.reaching import ReachingDistances
from connectomics.metrics.slabs.tally import Overlaps, Tally


@dataclass(frozen=True, slots=True, eq=False)
class SlabVolume:
    """A volume as it is read: sections from one up to another."""

    shape: ZYX
    """Extent along (z, y, x), in voxels."""
    spacing_nm: Spacing
    depth: int
    """Sections of a slab."""
    predicted: Callable[[int, int], Mask]
    """What was found, bool (n, Y, X), without voxels that nobody annotated."""
    truth: Callable[[int, int], Mask] | None = None
    """What is annotated, likewise; None without a label."""
    annotated: Callable[[int, int], bool] | None = None
    """Whether any voxel of the sections counts; None where all of the volume does."""
    probability: Callable[[int, int], NDArray[np.float32]] | None = None
    """Probability that a voxel belongs to any object, (n, Y, X)."""

    @property
    def slabs(self) -> list[tuple[int, int]]:
        """The first section of each slab, and that after its last."""
        z = self.shape[0]
        return [(start, min(z, start + self.depth)) for start in range(0, z, self.depth)]


@dataclass(frozen=True, slots=True, eq=False)
class Objects:
    """What a table says of objects beside their outcome."""

    first: NDArray[np.int64]
    """First voxel of the box around each, (N, 3) as (z, y, x)."""
    last: NDArray[np.int64]
    mean: NDArray[np.float64] | None = None
    """Mean probability, (N,)."""
    largest: NDArray[np.float64] | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Survey:
    """All objects of a volume."""

    volume: SlabVolume
    judged: Judged
    """The objects, and what became of each; its labels are a stand-in of one voxel."""
    predicted: Objects
    truth: Objects
    counts: VoxelCounts
    overlaps: tuple[NDArray[np.int64], NDArray[np.int64]]
    """`keys` and `shared` of `matching.count_matches`."""
    joined: JoinedComponents
    ids: NDArray[np.int64]
    """The id of each number that `joined` gives to predicted voxels."""

    def to_truth(self) -> ReachingDistances:
        """Return what measures distances to what is annotated."""
        assert self.volume.truth is not None
        return ReachingDistances(self.volume.truth, self.volume.shape, self.volume.spacing_nm, self.volume.depth)

    def to_predicted(self) -> ReachingDistances:
        """Return what measures distances to what was found."""
        return ReachingDistances(self.volume.predicted, self.volume.shape, self.volume.spacing_nm, self.volume.depth)


def survey(volume: SlabVolume, rule: MatchRule) -> Survey:
    """Find all objects of a volume, reading it once; memory grows with the plane and the number of objects.

    The ids are those of `components.pair_components`. Mean probabilities may differ from a whole volume's in the last
    bits, since they are added up in another order.

    Args:
        volume: How it is read.
        rule: What joins voxels, and when two objects are the same synapse.
    """
    ours, theirs = _Side(rule), _Side(rule)
    overlaps, both, counts = Overlaps(), 0, volume.annotated is None
    for start, stop in volume.slabs:
        predicted = volume.predicted(start, stop)
        numbers = ours.add(start, predicted, volume.probability and volume.probability(start, stop))
        if volume.annotated is not None:
            counts |= volume.annotated(start, stop)
        if volume.truth is not None:
            truth = volume.truth(start, stop)
            overlaps.add(numbers, theirs.add(start, truth, None))
            both += int(np.count_nonzero(predicted & truth))
    found, annotated = ours.components(volume.spacing_nm), theirs.components(volume.spacing_nm)
    pair = _stand_in(volume, len(found) > 0, len(annotated) > 0, counts)
    keys = overlaps.keys(ours.ids, theirs.ids)
    outcomes = None
    if volume.truth is not None:
        outcomes = judge_joined(join(*keys, found, annotated, rule), found, annotated, rule)
    nothing = np.zeros((0, 0, 0), np.uint8)
    judged = Judged(
        pair, PairComponents(found, annotated, nothing, nothing), outcomes, np.full(len(found), None, object)
    )
    counted = VoxelCounts(both, int(found.voxels.sum()), int(annotated.voxels.sum()))
    return Survey(volume, judged, ours.objects(), theirs.objects(), counted, keys, ours.joined, ours.ids)


def _stand_in(volume: SlabVolume, predicted: bool, truth: bool, counts: bool) -> LabelPair:
    """Return labels of one voxel, empty where those of the volume are."""
    annotated = None if volume.annotated is None else np.full((1, 1, 1), counts)
    return LabelPair(np.full((1, 1, 1), predicted), np.full((1, 1, 1), truth), volume.spacing_nm, annotated)


@final
class _Side:
    """The objects of one of the two masks."""

    def __init__(self, rule: MatchRule) -> None:
        self.joined, self._tally, self._slab = JoinedComponents(rule.connectivity), Tally(), 0
        self._total: list[NDArray[np.float64]] = []
        self._largest: list[NDArray[np.float64]] = []
        self._ids: NDArray[np.int64] | None = None

    def add(self, start: int, mask: Mask, probability: NDArray[np.float32] | None) -> NDArray[np.int64]:
        numbers = self.joined.add(mask)
        own = self.joined.numbers_of(self._slab)
        self._slab += 1
        self._tally.add(start, numbers, own)
        if probability is not None:
            places = numbers > 0
            owners, values = numbers[places] - own.start, probability[places].astype(np.float64)
            total = np.bincount(owners, weights=values, minlength=own.stop - own.start)
            self._total.append(total.astype(np.float64, copy=False))
            largest = np.zeros(own.stop - own.start)
            np.maximum.at(largest, owners, values)
            self._largest.append(largest)
        return numbers

    @property
    def ids(self) -> NDArray[np.int64]:
        if self._ids is None:
            self._ids = self.joined.ids()
        return self._ids

    def components(self, spacing_nm: Spacing) -> Components:
        return self._tally.components(self.ids, spacing_nm)

    def objects(self) -> Objects:
        first, last = self._tally.boxes(self.ids)
        if not self._total:
            return Objects(first, last)
        total, largest = np.zeros(len(first)), np.zeros(len(first))
        np.add.at(total, self.ids[1:] - 1, np.concatenate(self._total))
        np.maximum.at(largest, self.ids[1:] - 1, np.concatenate(self._largest))
        voxels = self._tally.components(self.ids, (1.0, 1.0, 1.0)).voxels
        return Objects(first, last, total / voxels, largest)
