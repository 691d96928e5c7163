"""What a page lists and outlines: every object, what became of it, and where most of it is seen."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from connectomics.drawing.outcome_styles import STYLES
from connectomics.metrics.judged import Judged
from connectomics.metrics.label_pair import Labels
from connectomics.metrics.outcomes import Outcome
from connectomics.reports.outlines import Arrow, Outline, OutlinedObjects, outline_objects

Line = TypeVar("Line", Outline, Arrow)

KINDS = tuple(STYLES)
"""What an object may be drawn as: its outcome; "turned" where its sides are the wrong way round; "annotated" for an
annotated object that was detected."""


@dataclass(frozen=True, slots=True)
class Listed:
    """An object in the list of a page."""

    kind: str
    """One of `KINDS`."""
    id: int
    """Its number in the tables and in the file of instances; of one that was missed, that in the annotation."""
    voxels: int
    parts: tuple[int, ...]
    """Number of voxels of each part of the object; 0 for a missing part."""
    shared: int
    """Number of the object's voxels where the other volume has an object as well."""
    probability: float | None
    """Mean over a predicted object; None for an annotated one, or where probabilities were not saved."""
    z: int
    """The section that shows most of the object."""
    y: float
    """Centre of the object along y in section z, in voxels."""
    x: float
    peak_voxels: int
    """Number of the object's voxels in section z."""


@dataclass(frozen=True, slots=True, eq=False)
class Drawn:
    """The objects of a prediction, or of an annotation."""

    outlined: OutlinedObjects
    kinds: Sequence[str]
    """What object k is drawn as, at k - 1."""
    numbers: NDArray[np.int64]
    """What it is called, likewise."""

    def list(self, wanted: str | None, probability: NDArray[np.float64] | None = None) -> list[Listed]:
        """Return the objects of a kind, or of all kinds; the mean probabilities are those of all objects, (N,)."""
        return [
            self._listed(i, None if probability is None else float(probability[i]))
            for i, kind in enumerate(self.kinds)
            if wanted in (None, kind)
        ]

    def _listed(self, i: int, probability: float | None) -> Listed:
        one, k = self.outlined, i + 1
        z, y, x = one.peak[k].tolist()
        parts = tuple(one.voxels[k].tolist())
        shared, peak = int(one.shared[k]), int(one.peak_voxels[k])
        sure = None if probability is None else round(probability, 4)
        return Listed(
            self.kinds[i], int(self.numbers[i]), sum(parts), parts, shared, sure, int(z), round(y, 2), round(x, 2), peak
        )


@dataclass(frozen=True, slots=True, eq=False)
class OutlinedPair:
    """The objects of a prediction and of an annotation, outlined."""

    predicted: Drawn
    annotated: Drawn

    def section(self, z: int) -> list[tuple[str, int, Outline]]:
        """Return the outlines of a section: what each is, the number of its object, and the outline."""
        return [_named(own, one) for own in self._both for one in own.outlined.sections[z]]

    def arrows(self, z: int) -> list[tuple[str, int, Arrow]]:
        """Return the arrows of a section, likewise."""
        return [_named(own, one) for own in self._both for one in own.outlined.arrows[z]]

    def left_out(self, z: int) -> int:
        """Return how many objects of a section have no outline."""
        return sum(own.outlined.left_out[z] for own in self._both)

    def list(self, probability: NDArray[np.float64] | None = None) -> list[Listed]:
        """Return what was predicted, with its mean probabilities, and what was missed, the largest first."""
        every = [*self.predicted.list(None, probability), *self.annotated.list(Outcome.MISSED)]
        return sorted(every, key=lambda one: -one.voxels)

    @property
    def _both(self) -> tuple[Drawn, Drawn]:
        return self.predicted, self.annotated


def kinds_of(judged: Judged) -> tuple[list[str], list[str]]:
    """Return what the predicted and the annotated objects are drawn as; without a label, all are "found"."""
    outcomes = judged.outcomes
    if outcomes is None:
        return ["found"] * len(judged.both.predicted), []
    predicted = [
        "turned" if turned else str(word) for word, turned in zip(outcomes.predicted, judged.turned, strict=True)
    ]
    return predicted, [str(word) if word == Outcome.MISSED else "annotated" for word in outcomes.annotated]


def outline_pair(judged: Judged) -> OutlinedPair:
    """Outline all objects of a volume, whose parts are the two sides where they have any."""
    pair, both, (predicted, annotated) = judged.pair, judged.both, kinds_of(judged)
    masks, parts = pair.masks, 2 if pair.sided else 1
    ours = outline_objects(parted(both.predicted_ids, pair.predicted, pair.sided), len(predicted), masks.truth, parts)
    theirs = outline_objects(parted(both.truth_ids, pair.truth, pair.sided), len(annotated), masks.predicted, parts)
    return OutlinedPair(Drawn(ours, predicted, both.predicted.numbers), Drawn(theirs, annotated, both.truth.numbers))


def parted(ids: NDArray[np.unsignedinteger], labels: Labels, sided: bool) -> Iterator[NDArray]:
    """Yield the sections (Y, X) of ids, numbered without a gap: those of objects, or 2k - 1 and 2k of their sides."""
    if not sided:
        yield from ids
        return
    for section, own in zip(ids, labels, strict=True):
        post = own.astype(np.uint64) % np.uint64(2) == 0
        yield np.where(section > 0, 2 * section.astype(np.int64) - 1 + post, 0)


def _named(own: Drawn, one: Line) -> tuple[str, int, Line]:
    return own.kinds[one.id - 1], int(own.numbers[one.id - 1]), one
