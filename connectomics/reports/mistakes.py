"""Which synapses a prediction found, missed and invented, and where to look for them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from connectomics.metrics import MaskPair
from connectomics.metrics.synapses import MatchRule, SynapseDetection, detect_synapses
from connectomics.reports.outlines import OutlinedMask, outline_objects

Kind = Literal["found", "invented", "missed", "annotated"]
"""What an outline is: predicted and right, predicted and wrong, annotated and not predicted, annotated and found."""

KINDS: tuple[Kind, ...] = ("found", "invented", "missed", "annotated")


@dataclass(frozen=True, slots=True)
class Mistake:
    """A synapse that was missed or invented, and where most of it is seen."""

    kind: Kind
    id: int
    """Its id among the components of its mask, from 1."""
    voxels: int
    shared: int
    """How many of its voxels the other mask holds too: more than 0 where two clefts touch and overlap too little."""
    z: int
    """The section that shows most of it."""
    y: float
    """The middle of it there."""
    x: float
    peak_voxels: int
    """Its voxels there."""


@dataclass(frozen=True, slots=True, eq=False)
class Comparison:
    """The objects of a prediction and of an annotation, and how they match."""

    detection: SynapseDetection
    predicted: OutlinedMask
    annotated: OutlinedMask
    mistakes: tuple[Mistake, ...]
    """The largest first."""

    def section(self, z: int) -> list[tuple[Kind, int, str]]:
        """Return kind, id and path of each outline of a section."""
        matched = self.detection.matched
        return [
            *_sorted_out(self.predicted, z, {m.predicted.id for m in matched}, "found", "invented"),
            *_sorted_out(self.annotated, z, {m.annotated.id for m in matched}, "annotated", "missed"),
        ]

    def left_out(self, z: int) -> int:
        """Return how many objects of a section have no outline."""
        return self.predicted.left_out[z] + self.annotated.left_out[z]


def compare_objects(pair: MaskPair, rule: MatchRule) -> Comparison:
    """Match the synapses of a prediction with the annotated ones, and outline them all."""
    detection = detect_synapses(pair, rule)
    predicted = outline_objects(pair.predicted, pair.truth, rule.connectivity)
    annotated = outline_objects(pair.truth, pair.predicted, rule.connectivity)
    mistakes = [
        *(_mistake("missed", synapse.id, annotated) for synapse in detection.missed),
        *(_mistake("invented", synapse.id, predicted) for synapse in detection.invented),
    ]
    ordered = sorted(mistakes, key=lambda mistake: -mistake.voxels)
    return Comparison(detection, predicted, annotated, tuple(ordered))


def _mistake(kind: Kind, number: int, objects: OutlinedMask) -> Mistake:
    z, y, x = objects.peak[number].tolist()
    voxels, shared = int(objects.voxels[number]), int(objects.shared[number])
    return Mistake(kind, int(number), voxels, shared, int(z), y, x, int(objects.peak_voxels[number]))


def _sorted_out(
    objects: OutlinedMask, z: int, matched: set[int], right: Kind, wrong: Kind
) -> list[tuple[Kind, int, str]]:
    return [(right if one.id in matched else wrong, one.id, one.path) for one in objects.sections[z]]
