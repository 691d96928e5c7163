"""Which synapses a prediction found, missed, invented and turned round, and where to look for them."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from connectomics.geometry import Spacing
from connectomics.metrics import MaskPair
from connectomics.metrics.components import pair_components
from connectomics.metrics.matching import MatchRule, SynapseDetection, detect_synapses
from connectomics.metrics.polarity import detect_polarity
from connectomics.reports.outlines import Arrow, Outline, OutlinedObjects, outline_objects

Kind = Literal["found", "invented", "missed", "annotated", "turned"]
"""Kinds of outlines: predicted and right, predicted and wrong, annotated and not predicted, annotated and found, or
predicted in the right place with the parts the wrong way round."""

KINDS: tuple[Kind, ...] = ("found", "invented", "missed", "annotated", "turned")

Ids = NDArray[np.unsignedinteger]
"""An id for each part of each object, 0 elsewhere, (Z, Y, X)."""


@dataclass(frozen=True, slots=True)
class Mistake:
    """A synapse that was missed, invented or turned round, and where most of it is seen."""

    kind: Kind
    id: int
    """Id of the object within its volume, from 1."""
    voxels: int
    parts: tuple[int, ...]
    """Number of voxels of each part of the object; 0 for a missing part."""
    shared: int
    """Number of the object's voxels where the other volume has an object as well: more than 0 where two overlap too
    little."""
    z: int
    """The section that shows most of the object."""
    y: float
    """Centre of the object along y in section z, in voxels."""
    x: float
    peak_voxels: int
    """Number of the object's voxels in section z."""


@dataclass(frozen=True, slots=True, eq=False)
class Objects:
    """The objects of one volume, and what each of them is."""

    outlined: OutlinedObjects
    kinds: Mapping[int, Kind]
    """Kinds of the objects, by id."""

    def mistakes(self, kind: Kind) -> list[Mistake]:
        """Return those of one kind."""
        one = self.outlined
        return [_mistake(kind, number, one) for number, own in self.kinds.items() if own == kind]


@dataclass(frozen=True, slots=True, eq=False)
class Comparison:
    """The objects of a prediction and of an annotation, and how they match."""

    predicted: Objects
    annotated: Objects
    mistakes: tuple[Mistake, ...]
    """The mistakes, largest first."""

    def section(self, z: int) -> list[tuple[Kind, Outline]]:
        """Return the outlines of a section, and what each is."""
        return [(own.kinds[one.id], one) for own in self._both for one in own.outlined.sections[z]]

    def arrows(self, z: int) -> list[tuple[Kind, Arrow]]:
        """Return the arrows of a section, and what each belongs to."""
        return [(own.kinds[one.id], one) for own in self._both for one in own.outlined.arrows[z]]

    def left_out(self, z: int) -> int:
        """Return how many objects of a section have no outline."""
        return sum(own.outlined.left_out[z] for own in self._both)

    def count(self, kind: Kind) -> int:
        """Return how many objects are of a kind."""
        return sum(one == kind for own in self._both for one in own.kinds.values())

    @property
    def _both(self) -> tuple[Objects, Objects]:
        return self.predicted, self.annotated


def compare_objects(pair: MaskPair, rule: MatchRule) -> Comparison:
    """Match the synapses of a prediction with the annotated ones, and outline them all."""
    both = pair_components(pair, rule.connectivity)
    return _compared(
        detect_synapses(pair, rule),
        outline_objects(both.predicted_ids, len(both.predicted), pair.truth),
        outline_objects(both.truth_ids, len(both.truth), pair.predicted),
    )


def compare_sides(predicted: Ids, truth: Ids, spacing_nm: Spacing, rule: MatchRule) -> Comparison:
    """Match synapses that have two sides, and outline both sides of them all.

    Args:
        predicted: Predicted ids, 2k - 1 and 2k for the sides of synapse k, (Z, Y, X).
        truth: Annotated ids, same shape.
        spacing_nm: Voxel size along (z, y, x), in nanometres.
        rule: Which synapses may be matched.
    """
    (predicted, found), (truth, annotated) = (renumber(ids, parts=2) for ids in (predicted, truth))
    detected = detect_polarity(predicted, truth, spacing_nm, rule)
    matches = zip(detected.synapses.matched, detected.sides, strict=True)
    return _compared(
        detected.synapses,
        outline_objects(predicted, found, truth != 0, parts=2),
        outline_objects(truth, annotated, predicted != 0, parts=2),
        turned={match.predicted.id for match, sides in matches if not sides.right_way_round},
    )


def renumber(ids: Ids, parts: int) -> tuple[NDArray[np.uint32], int]:
    """Give the objects of a volume the numbers 1, 2, ... without a gap, in the order of their ids.

    Args:
        ids: Part p (from 0) of object k is `parts * (k - 1) + p + 1`, (Z, Y, X).
        parts: Number of parts that each object may consist of.

    Returns:
        Ids (Z, Y, X) that mean the same, and the highest k.
    """
    places = np.flatnonzero(ids)
    given = ids.reshape(-1)[places].astype(np.uint64) - np.uint64(1)
    numbers, index = np.unique(given // np.uint64(parts), return_inverse=True)  # from 0
    renumbered = np.zeros(ids.shape, np.uint32)
    renumbered.reshape(-1)[places] = parts * index + (given % np.uint64(parts)).astype(np.int64) + 1
    return renumbered, len(numbers)


def _compared(
    detection: SynapseDetection,
    predicted: OutlinedObjects,
    annotated: OutlinedObjects,
    turned: Collection[int] = (),
) -> Comparison:
    kinds: dict[int, Kind] = {match.predicted.id: "found" for match in detection.matched}
    kinds |= dict.fromkeys(turned, "turned")
    kinds |= {synapse.id: "invented" for synapse in detection.invented}
    own: dict[int, Kind] = {match.annotated.id: "annotated" for match in detection.matched}
    own |= {synapse.id: "missed" for synapse in detection.missed}
    there, wanted = Objects(predicted, kinds), Objects(annotated, own)
    mistakes = [*wanted.mistakes("missed"), *there.mistakes("invented"), *there.mistakes("turned")]
    return Comparison(there, wanted, tuple(sorted(mistakes, key=lambda mistake: -mistake.voxels)))


def _mistake(kind: Kind, number: int, objects: OutlinedObjects) -> Mistake:
    z, y, x = objects.peak[number].tolist()
    parts = tuple(objects.voxels[number].tolist())
    shared = int(objects.shared[number])
    return Mistake(kind, int(number), sum(parts), parts, shared, int(z), y, x, int(objects.peak_voxels[number]))
