"""The scores of all masks of a sweep over thresholds and minimum sizes, from one volume of levels.

The distance of each predicted voxel to the annotation is the same at all thresholds and is measured once. The distance
of each annotated voxel to the prediction (`nearest.py`) and the components (`forest.py`) follow the growing mask.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from connectomics.geometry import Spacing
from connectomics.metrics.components import Components, label_mask, measure_components
from connectomics.metrics.distance import TargetDistances
from connectomics.metrics.matching import MatchRule, count_matches, count_one_to_one, join
from connectomics.metrics.pair import Mask
from connectomics.metrics.sweep.forest import Forest, open_levels
from connectomics.metrics.sweep.levels import Levels
from connectomics.metrics.sweep.nearest import sum_nearest

SIZE_CONNECTIVITY = 26
"""Connectivity of the components that are kept or removed by their size; the same as in decoding."""


@dataclass(frozen=True, slots=True)
class SweptSetting:
    """A threshold and a minimum size, with their scores."""

    threshold: float
    min_size: int
    scores: dict[str, float | None]
    """The scores by the names of their metrics, and `adgt` and `adf` of the distance; None where one is undefined."""


def open_sizes(levels: Levels, min_sizes: Sequence[int]) -> list[Levels]:
    """Return the levels for each minimum size: the masks without components of fewer voxels, as decoding makes them."""
    return open_levels(levels, list(min_sizes), SIZE_CONNECTIVITY)


def sweep_levels(
    opened: Sequence[Levels],
    truth: Mask,
    spacing_nm: Spacing,
    thresholds: Sequence[float],
    min_sizes: Sequence[int],
    rule: MatchRule,
    annotated: Mask | None = None,
) -> list[SweptSetting]:
    """Score every mask of a sweep, exactly as the metrics score each mask on its own.

    Memory beyond the two volumes: one byte a voxel for each minimum size, nine while components are found, and some
    hundred bytes for each voxel on the border of a mask.

    Args:
        opened: What `open_sizes` returned, (Z, Y, X) each.
        truth: Annotated cleft voxels, bool, same shape.
        spacing_nm: Voxel size along (z, y, x), in nanometres.
        thresholds: Ascending.
        min_sizes: Those of `opened`; the size of a component is that before excluded voxels are taken out.
        rule: When a predicted and an annotated component are the same synapse.
        annotated: Voxels that count, bool, same shape; None when all of them do.

    Returns:
        Every threshold with every size.
    """
    if annotated is not None:
        truth = truth & annotated
        opened = [one * annotated for one in opened]
    far = _sum_distances(opened, truth, spacing_nm, len(thresholds))
    annotation = _Annotation.of(truth, spacing_nm, rule)
    swept = []
    for size, one, to_truth in zip(min_sizes, opened, far, strict=True):
        table = _Tally.of(one, truth, spacing_nm, len(thresholds), to_truth, annotation)
        rows = zip(thresholds, table.rows(), strict=True)
        swept += [SweptSetting(threshold, size, row) for threshold, row in rows]
    return swept


def sweep_masks(opened: Sequence[Levels], number: int) -> Iterator[Mask]:
    """Yield the masks of a sweep in the order of `sweep_levels`: bool, (Z, Y, X).

    Args:
        opened: What `open_sizes` returned.
        number: Number of thresholds.
    """
    for levels in opened:
        yield from (levels > i for i in range(number))


@dataclass(frozen=True, slots=True, eq=False)
class _Annotation:
    """The annotated components."""

    ids: NDArray[np.unsignedinteger]
    components: Components
    spacing_nm: Spacing
    rule: MatchRule

    @classmethod
    def of(cls, truth: Mask, spacing_nm: Spacing, rule: MatchRule) -> _Annotation:
        ids, number = label_mask(truth, rule.connectivity)
        nothing = np.broadcast_to(np.False_, truth.shape)
        return cls(ids, measure_components(ids, number, nothing, spacing_nm), spacing_nm, rule)


@dataclass(frozen=True, slots=True, eq=False)
class _Tally:
    """What the scores of one minimum size are computed from; arrays hold one number for each threshold, (T,)."""

    predicted: NDArray[np.int64]
    """Number of voxels of the mask."""
    shared: NDArray[np.int64]
    """Number of voxels of the mask that are annotated."""
    truth: int
    """Number of annotated voxels."""
    to_truth_nm: NDArray[np.float64]
    """Sum of the distances from predicted voxels to the nearest annotated one, in nm."""
    to_predicted_nm: NDArray[np.float64]
    """Sum of the distances from annotated voxels to the nearest predicted one, in nm."""
    components: NDArray[np.int64]
    """Number of components of the mask."""
    matched: NDArray[np.int64]
    """Number of components that the strict score matches."""
    one_to_one: NDArray[np.int64]
    """Number of components that overlap an annotated one, each of which counts once."""
    annotated: int
    """Number of annotated components."""

    @classmethod
    def of(
        cls,
        levels: Levels,
        truth: Mask,
        spacing_nm: Spacing,
        number: int,
        to_truth_nm: NDArray[np.float64],
        annotation: _Annotation,
    ) -> _Tally:
        predicted, shared = np.zeros((2, number + 1), np.int64)
        for section, cleft in zip(levels, truth, strict=True):
            predicted += np.bincount(section.reshape(-1), minlength=number + 1)
            shared += np.bincount(section[cleft], minlength=number + 1)
        to_predicted = np.zeros(number)
        if truth.any():
            sums = sum_nearest(levels, truth, spacing_nm)
            to_predicted[: len(sums)] = sums
        components, matched, one_to_one = _match_all(levels, annotation, number)
        return cls(
            _from_above(predicted), _from_above(shared), int(np.count_nonzero(truth)), to_truth_nm, to_predicted,
            components, matched, one_to_one, len(annotation.components),
        )  # fmt: skip

    def rows(self) -> list[dict[str, float | None]]:
        """Return the scores at each threshold."""
        return [self._row(i) for i in range(len(self.predicted))]

    def _row(self, i: int) -> dict[str, float | None]:
        predicted, shared, found = int(self.predicted[i]), int(self.shared[i]), int(self.components[i])
        defined = predicted > 0 and self.truth > 0
        adgt = float(self.to_truth_nm[i]) / predicted if defined else None
        adf = float(self.to_predicted_nm[i]) / self.truth if defined else None
        return {
            "cremi_distance": None if adgt is None or adf is None else (adgt + adf) / 2,
            "adgt": adgt,
            "adf": adf,
            "jaccard": _share(shared, predicted + self.truth - shared),
            "dice": _share(2 * shared, predicted + self.truth),
            "precision": _share(shared, predicted),
            "recall": _share(shared, self.truth),
            "synapse_detection": _share(2 * int(self.one_to_one[i]), found + self.annotated),
            "synapse_f1": _share(2 * int(self.matched[i]), found + self.annotated),
        }


def _sum_distances(opened: Sequence[Levels], truth: Mask, spacing_nm: Spacing, number: int) -> NDArray[np.float64]:
    """Sum, for each minimum size and threshold, the distances of predicted voxels to the truth, in nm, (S, T)."""
    sums = np.zeros((len(opened), number + 1))
    if truth.any():
        distances = TargetDistances(truth, spacing_nm, np.maximum.reduce(opened) > 0)
        for z in range(len(truth)):
            layers = [one[z].reshape(-1) for one in opened]
            pixels = np.flatnonzero(np.maximum.reduce(layers))
            lengths = np.sqrt(distances.squared(z, pixels)) * distances.lattice.unit_nm
            for total, layer in zip(sums, layers, strict=True):
                total += np.bincount(layer[pixels], weights=lengths, minlength=number + 1)
    return np.stack([_from_above(total) for total in sums])


def _match_all(levels: Levels, annotation: _Annotation, number: int) -> NDArray[np.int64]:
    """Return, for each threshold, how many components the mask has, and how many are matched, strictly and at all."""
    counted = np.zeros((3, number), np.int64)
    forest, truth = Forest(levels, annotation.rule.connectivity), annotation.components
    width = max(1, len(truth))
    keys, counts = np.zeros((2, 0), np.int64)  # node * width + annotated component, and the voxels that they share
    for step in forest.steps():
        node, other = np.divmod(keys, width)
        ids = annotation.ids.reshape(-1)[step.voxels].astype(np.int64)
        new = step.nodes[ids > 0] * width + ids[ids > 0] - 1
        keys, where = np.unique(np.concatenate([step.renamed[node] * width + other, new]), return_inverse=True)
        every = np.concatenate([counts, np.ones(len(new), np.int64)])
        counts = np.bincount(where, weights=every, minlength=len(keys)).astype(np.int64)
        alive = forest.alive
        found = Components((), forest.sizes[alive], (forest.sums[:, alive] / forest.sizes[alive]).T
                           * np.asarray(annotation.spacing_nm), np.arange(1, len(alive) + 1))  # fmt: skip
        own = np.searchsorted(alive, keys // width) * width + keys % width
        strict = count_matches(own, counts, found, truth, annotation.rule)
        at_all = count_one_to_one(join(own, counts, found, truth, annotation.rule))
        counted[:, step.level - 1] = len(alive), strict, at_all
    seen = {int(level) - 1 for level in np.unique(forest.level)}
    for i in range(number - 2, -1, -1):  # a threshold that adds no voxel leaves the mask as it was
        if i not in seen:
            counted[:, i] = counted[:, i + 1]
    return counted


def _from_above(by_level: NDArray) -> NDArray:
    """Return from what voxels of each level have what those of at least that level have, without level 0."""
    return by_level[:0:-1].cumsum()[::-1]


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None
