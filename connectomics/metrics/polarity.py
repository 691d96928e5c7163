"""Detection of synapses that have two sides, and whether these are the right way round.

No polarity F1 of the EM-R50 data is published, and it has no public test part. The definition below is this package's
own; its numbers stand for themselves and claim parity with nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

import numpy as np
from numpy.typing import NDArray

from connectomics.geometry import Spacing
from connectomics.metrics.components import Components, PairComponents, measure_components
from connectomics.metrics.label_pair import LabelPair, Labels
from connectomics.metrics.matching import MatchRule, SynapseDetection, match_components
from connectomics.metrics.pair import Mask

Ids = Labels
"""Ids 2k - 1 and 2k for the pre- and post-synaptic side of synapse k, 0 elsewhere, (Z, Y, X)."""


@dataclass(frozen=True, slots=True)
class MatchedSides:
    """How well the sides of a matched pair of synapses agree."""

    pre_iou: float | None
    """Intersection over union of the pre-synaptic sides; None where neither synapse has one."""
    post_iou: float | None
    """Intersection over union of the post-synaptic sides; None where neither synapse has one."""
    right_way_round: bool
    """Whether each annotated side shares more voxels with the predicted side of its kind than with the other side."""


@dataclass(frozen=True, slots=True)
class PolarityDetection:
    """Which synapses were found, and how well their sides agree."""

    synapses: SynapseDetection
    """Matches of whole synapses, by the union of their sides; an id is the number k of a synapse."""
    sides: tuple[MatchedSides, ...]
    """How well the sides agree in each pair of `synapses.matched`."""

    @property
    def right_way_round(self) -> float | None:
        """Share of the matched synapses whose sides are the right way round; None when none is matched."""
        return _mean([float(pair.right_way_round) for pair in self.sides])

    def to_json(self) -> dict[str, Any]:
        """Return the entry `polarity_f1` of `metrics.json`; what does not exist is None."""
        found = self.synapses
        return {
            "f1": found.f1,
            "precision": found.precision,
            "recall": found.recall,
            "right_way_round": self.right_way_round,
            "pre_iou": _mean([pair.pre_iou for pair in self.sides if pair.pre_iou is not None]),
            "post_iou": _mean([pair.post_iou for pair in self.sides if pair.post_iou is not None]),
            "matched": len(found.matched),
            "missed": len(found.missed),
            "invented": len(found.invented),
        }


def detect_polarity(
    predicted: Ids, truth: Ids, spacing_nm: Spacing, rule: MatchRule | None = None
) -> PolarityDetection:
    """Match the synapses of a prediction one to one with those of the truth, and compare their sides.

    A synapse is the union of its sides, whether or not these touch; one with a single side counts too. Predicted and
    annotated ones match by the overlap of their unions, an IoU of 0.5 by default.

    Args:
        predicted: Predicted ids, (Z, Y, X).
        truth: Annotated ids, same shape.
        spacing_nm: Voxel size along (z, y, x), in nanometres.
        rule: Which synapses may be matched; its `connectivity` does not matter here. The default rule when None.
    """
    return detect_sided(compare_synapses(predicted, truth, spacing_nm), rule or MatchRule())


@dataclass(frozen=True, slots=True, eq=False)
class SidedPair:
    """The synapses of a prediction and of an annotation, and the sides of each; indices count from 0."""

    both: PairComponents
    """Whole synapses; what they are called is their number k."""
    _predicted_sizes: NDArray[np.int64]
    _truth_sizes: NDArray[np.int64]
    _shared: _SharedSides

    def compare(self, predicted: int, truth: int) -> MatchedSides:
        """Tell how well the sides of a predicted synapse agree with those of an annotated one."""
        shared = self._shared.of(predicted, truth)
        return _compare(shared, self._predicted_sizes[predicted], self._truth_sizes[truth])


def pair_sides(pair: LabelPair) -> SidedPair:
    """Return the synapses of a pair of ids of sides, measured when first asked for, and kept with the pair."""
    if "sides" not in pair.labelled:
        pair.labelled["sides"] = compare_synapses(pair.predicted, pair.truth, pair.spacing_nm)
    return pair.labelled["sides"]


def compare_synapses(predicted: Ids, truth: Ids, spacing_nm: Spacing) -> SidedPair:
    """Find the synapses of predicted and annotated ids (Z, Y, X), and count what their sides share."""
    found, annotated = _Synapses.of(predicted), _Synapses.of(truth)
    both = PairComponents(
        found.measure(truth != 0, spacing_nm),
        annotated.measure(predicted != 0, spacing_nm),
        found.indices,
        annotated.indices,
    )
    shared = _SharedSides.count(predicted, truth, found, annotated)
    return SidedPair(both, found.sizes, annotated.sizes, shared)


def detect_sided(sided: SidedPair, rule: MatchRule) -> PolarityDetection:
    """Match synapses one to one, as `detect_polarity` does, that were measured already."""
    detection = match_components(sided.both.predicted, sided.both.truth, rule)
    predicted, truth = sided.both.predicted.numbers, sided.both.truth.numbers
    pairs = (
        (int(np.searchsorted(predicted, match.predicted.id)), int(np.searchsorted(truth, match.annotated.id)))
        for match in detection.matched
    )
    return PolarityDetection(detection, tuple(sided.compare(p, t) for p, t in pairs))


@dataclass(frozen=True, slots=True, eq=False)
class _Synapses:
    """The synapses of a volume, counted from 0 whatever their numbers are."""

    numbers: NDArray[np.int64]
    """Numbers k of the synapses, ascending, (N,)."""
    indices: NDArray[np.uint32]
    """For each voxel, the index of its synapse plus 1, and 0 where there is none, (Z, Y, X)."""
    sizes: NDArray[np.int64]
    """Number of voxels of the pre- and post-synaptic side of each synapse, (N, 2)."""

    @classmethod
    def of(cls, ids: Ids) -> _Synapses:
        """Find the synapses of ids (Z, Y, X)."""
        places = np.flatnonzero(ids)
        given = ids.reshape(-1)[places].astype(np.uint64)
        numbers, index = np.unique((given - np.uint64(1)) // np.uint64(2) + np.uint64(1), return_inverse=True)
        indices = np.zeros(ids.shape, np.uint32)
        indices.reshape(-1)[places] = index + 1
        sizes = np.bincount(2 * index + _is_post(given), minlength=2 * len(numbers))
        return cls(numbers.astype(np.int64), indices, sizes.reshape(-1, 2))

    def measure(self, other: Mask, spacing_nm: Spacing) -> Components:
        """Measure the synapses beside another mask (Z, Y, X)."""
        return measure_components(self.indices, len(self.numbers), other, spacing_nm, self.numbers)


@dataclass(frozen=True, slots=True, eq=False)
class _SharedSides:
    """How many voxels each predicted side shares with each annotated one."""

    width: int
    keys: NDArray[np.int64]
    """`predicted side * width + annotated side`, where a side is twice the index of its synapse, plus 1 if it is
    post."""
    counts: NDArray[np.int64]

    @classmethod
    def count(cls, predicted: Ids, truth: Ids, found: _Synapses, annotated: _Synapses) -> _SharedSides:
        places = np.flatnonzero((predicted != 0) & (truth != 0))
        side = [
            2 * (synapses.indices.reshape(-1)[places].astype(np.int64) - 1) + _is_post(ids.reshape(-1)[places])
            for ids, synapses in ((predicted, found), (truth, annotated))
        ]
        width = 2 * max(1, len(annotated.numbers))
        return cls(width, *np.unique(side[0] * width + side[1], return_counts=True))

    def of(self, predicted: int, annotated: int) -> NDArray[np.int64]:
        """Return the shared voxels of two synapses: row 0 is of the predicted pre side, column 0 of the annotated."""
        sides = np.arange(2)
        wanted = (2 * predicted + sides)[:, np.newaxis] * self.width + 2 * annotated + sides
        if not len(self.keys):
            return np.zeros((2, 2), np.int64)
        at = np.searchsorted(self.keys, wanted).clip(max=len(self.keys) - 1)
        return np.where(self.keys[at] == wanted, self.counts[at], 0)


def _compare(shared: NDArray[np.int64], predicted: NDArray[np.int64], annotated: NDArray[np.int64]) -> MatchedSides:
    """Compare the sides of two synapses by their shared voxels (2, 2) and their sizes (2,)."""
    union = predicted + annotated - shared.diagonal()
    pre, post = (
        float(both / either) if either else None for both, either in zip(shared.diagonal(), union, strict=True)
    )
    right = all(shared[side, side] > shared[1 - side, side] for side in range(2) if annotated[side])
    return MatchedSides(pre, post, right)


def _is_post(ids: Ids) -> NDArray[np.int64]:
    """Return 1 for the ids of post-synaptic sides, 0 for the others."""
    return 1 - (ids.astype(np.uint64) % np.uint64(2)).astype(np.int64)


def _mean(values: Sequence[float]) -> float | None:
    return fmean(values) if values else None
