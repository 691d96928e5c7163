"""Detection of synapses: predicted and annotated components, matched one to one."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import maximum_bipartite_matching, min_weight_full_bipartite_matching
from scipy.spatial import KDTree

from connectomics.geometry import Connectivity
from connectomics.metrics.components import Components, Synapse


@dataclass(frozen=True, slots=True)
class MatchRule:
    """When a predicted and an annotated component are the same synapse."""

    min_iou: float = 0.3
    """From which intersection over union on one that was detected counts as found, not as poorly outlined; in (0, 1].
    A cleft nine pixels thick whose outline is off by two on each side has 0.4."""
    strict_iou: float = 0.5
    """Least intersection over union of two that the strict score, `synapse_f1`, matches; in (0, 1]."""
    max_distance_nm: float | None = None
    """Components whose centroids lie within this, in nm, belong together as well as those that overlap; None goes by
    overlap only."""
    connectivity: Connectivity = 26
    """Voxels of one component share a face (6), an edge (18) or a corner (26)."""

    def __post_init__(self) -> None:
        for name, least in (("min_iou", self.min_iou), ("strict_iou", self.strict_iou)):
            if not 0 < least <= 1:
                raise ValueError(f"{name} is {least}; it must lie in (0, 1]")


@dataclass(frozen=True, slots=True)
class MatchedSynapse:
    """A predicted component, and the annotated one that it was matched to."""

    predicted: Synapse
    annotated: Synapse
    iou: float
    distance_nm: float
    """Distance between the centroids, in nm."""


@dataclass(frozen=True, slots=True)
class SynapseDetection:
    """Which synapses were found, by ascending predicted (`missed`: annotated) id."""

    matched: tuple[MatchedSynapse, ...]
    missed: tuple[Synapse, ...]
    """Annotated synapses that were not found."""
    invented: tuple[Synapse, ...]
    """Predicted synapses that are not annotated."""

    @property
    def precision(self) -> float | None:
        """Share of the predicted synapses that are matched; None when none is predicted."""
        predicted = len(self.matched) + len(self.invented)
        return len(self.matched) / predicted if predicted else None

    @property
    def recall(self) -> float | None:
        """Share of the annotated synapses that are matched; None when none is annotated."""
        annotated = len(self.matched) + len(self.missed)
        return len(self.matched) / annotated if annotated else None

    @property
    def f1(self) -> float | None:
        """Harmonic mean of precision and recall, 2 M / (predicted + annotated); None when there is no synapse."""
        total = 2 * len(self.matched) + len(self.missed) + len(self.invented)
        return 2 * len(self.matched) / total if total else None


@dataclass(frozen=True, slots=True, eq=False)
class ComponentPairs:
    """Pairs of a predicted and an annotated component; indices count from 0; all arrays (N,)."""

    predicted: NDArray[np.int64]
    truth: NDArray[np.int64]
    shared: NDArray[np.float64]
    """How many voxels both components hold."""
    iou: NDArray[np.float64]
    distance_nm: NDArray[np.float64]
    """Distance between the centroids, in nm."""

    def where(self, chosen: NDArray[np.bool_]) -> ComponentPairs:
        """Return some of the pairs."""
        return ComponentPairs(
            self.predicted[chosen], self.truth[chosen], self.shared[chosen], self.iou[chosen], self.distance_nm[chosen]
        )


def match_components(predicted: Components, truth: Components, rule: MatchRule) -> SynapseDetection:
    """Match the components of a prediction one to one with those of the truth.

    As many pairs as possible are matched; among equally many, those that overlap most and, when the rule has a
    distance, lie closest.

    Args:
        predicted: The predicted components; `shared` holds the voxels that are annotated too.
        truth: The annotated ones, likewise.
        rule: Which components may be matched.
    """
    return match_overlaps(*_count_shared_voxels(predicted, truth), predicted, truth, rule)


def match_overlaps(
    keys: NDArray[np.int64], shared: NDArray[np.int64], predicted: Components, truth: Components, rule: MatchRule
) -> SynapseDetection:
    """Match components as `match_components` does where their overlaps are known; arguments as for `count_matches`."""
    pairs = _allow(keys, shared, predicted, truth, rule)
    chosen = _match(pairs, rule)
    matched = tuple(
        MatchedSynapse(
            predicted.synapse(pairs.predicted[i]),
            truth.synapse(pairs.truth[i]),
            float(pairs.iou[i]),
            float(pairs.distance_nm[i]),
        )
        for i in chosen
    )
    missed = np.setdiff1d(np.arange(len(truth)), pairs.truth[chosen])
    invented = np.setdiff1d(np.arange(len(predicted)), pairs.predicted[chosen])
    return SynapseDetection(
        matched, tuple(truth.synapse(i) for i in missed), tuple(predicted.synapse(i) for i in invented)
    )


def find_joined(predicted: Components, truth: Components, rule: MatchRule) -> ComponentPairs:
    """Return all pairs that share a voxel, and those whose centroids lie within the rule's distance."""
    return join(*_count_shared_voxels(predicted, truth), predicted, truth, rule)


def join(
    keys: NDArray[np.int64], shared: NDArray[np.int64], predicted: Components, truth: Components, rule: MatchRule
) -> ComponentPairs:
    """Return the pairs of `find_joined` where the overlaps are known already; arguments as for `count_matches`."""
    pairs = _measure_pairs(keys, shared, predicted, truth, rule)
    return pairs.where((pairs.shared > 0) | _is_close(pairs, rule))


def count_one_to_one(joined: ComponentPairs) -> int:
    """Return how many of the pairs can hold at once when each component takes part in one of them at most."""
    if not len(joined.predicted):
        return 0
    shape = (int(joined.predicted.max()) + 1, int(joined.truth.max()) + 1)
    graph = coo_array((np.ones(len(joined.predicted), np.uint8), (joined.predicted, joined.truth)), shape).tocsr()
    return int(np.count_nonzero(maximum_bipartite_matching(graph, perm_type="column") >= 0))


def count_matches(
    keys: NDArray[np.int64], shared: NDArray[np.int64], predicted: Components, truth: Components, rule: MatchRule
) -> int:
    """Return how many components are matched, as `match_components` does, where their overlaps are known already.

    Args:
        keys: For each overlapping pair `predicted * len(truth) + truth`, indices from 0, ascending, (N,).
        shared: The voxels that it shares, (N,).
        predicted: The predicted components; their `shared` is not looked at.
        truth: The annotated ones, likewise.
        rule: Which components may be matched.
    """
    return len(_match(_allow(keys, shared, predicted, truth, rule), rule))


def _allow(
    keys: NDArray[np.int64], shared: NDArray[np.int64], predicted: Components, truth: Components, rule: MatchRule
) -> ComponentPairs:
    """Return the pairs that the rule allows, of those that overlap and, when it has a distance, all that are close."""
    pairs = _measure_pairs(keys, shared, predicted, truth, rule)
    return pairs.where((pairs.iou >= rule.strict_iou) | _is_close(pairs, rule))


def _measure_pairs(
    keys: NDArray[np.int64], shared: NDArray[np.int64], predicted: Components, truth: Components, rule: MatchRule
) -> ComponentPairs:
    """Return the pairs that overlap and, when the rule has a distance, those that may be close."""
    counts = shared.astype(np.float64)
    if rule.max_distance_nm is not None:
        close = _find_close(predicted, truth, rule.max_distance_nm)
        keys, where = np.unique(np.concatenate([keys, close]), return_inverse=True)
        weights = np.concatenate([counts, np.zeros(len(close))])
        counts = np.bincount(where, weights, len(keys)).astype(np.float64, copy=False)
    p, t = np.divmod(keys, max(1, len(truth)))
    iou = counts / (predicted.voxels[p] + truth.voxels[t] - counts)
    distance = np.linalg.norm(predicted.centroids_nm[p] - truth.centroids_nm[t], axis=1)
    return ComponentPairs(p, t, counts, iou, distance)


def _is_close(pairs: ComponentPairs, rule: MatchRule) -> NDArray[np.bool_]:
    limit = -1.0 if rule.max_distance_nm is None else rule.max_distance_nm
    return pairs.distance_nm <= limit


def _count_shared_voxels(predicted: Components, truth: Components) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return a key `predicted * len(truth) + truth` for each overlapping pair, ascending, and its shared voxels."""
    keys = [np.zeros(0, np.int64)]
    counts = [np.zeros(0, np.int64)]
    for p, t in zip(predicted.shared, truth.shared, strict=True):
        key, count = np.unique(p.astype(np.int64) * len(truth) + t.astype(np.int64), return_counts=True)
        keys.append(key)
        counts.append(count)
    distinct, where = np.unique(np.concatenate(keys), return_inverse=True)
    shared = np.zeros(len(distinct), np.int64)
    np.add.at(shared, where, np.concatenate(counts))
    return distinct, shared


def _find_close(predicted: Components, truth: Components, max_distance_nm: float) -> NDArray[np.int64]:
    """Return the keys of all pairs whose centroids may lie within a distance, and perhaps a few beyond."""
    if not len(predicted) or not len(truth):
        return np.zeros(0, np.int64)
    reach = max_distance_nm * (1 + 1e-9)
    near = KDTree(truth.centroids_nm).query_ball_point(predicted.centroids_nm, reach)
    keys = [p * len(truth) + np.asarray(ts, np.int64) for p, ts in enumerate(near)]
    return np.concatenate(keys)


def _match(pairs: ComponentPairs, rule: MatchRule) -> NDArray[np.intp]:
    """Return which candidates are matched: the Hungarian method on the candidates alone.

    Each predicted component also has a stand-in of its own, at a cost above that of any set of true pairs, so that a
    matching always exists and uses as few stand-ins as possible.
    """
    if not len(pairs.iou):
        return np.zeros(0, np.intp)
    rows, row = np.unique(pairs.predicted, return_inverse=True)
    columns, column = np.unique(pairs.truth, return_inverse=True)
    cost = 3.0 - pairs.iou  # in [1, 3]: SciPy takes an entry of 0 for no entry
    if rule.max_distance_nm:
        cost -= np.clip(1 - pairs.distance_nm / rule.max_distance_nm, 0, None)
    own = np.arange(len(rows))
    graph = coo_array(
        (
            np.concatenate([cost, np.full(len(rows), 3.0 * (len(rows) + 1))]),
            (np.concatenate([row, own]), np.concatenate([column, len(columns) + own])),
        )
    ).tocsr()
    matched_row, matched_column = min_weight_full_bipartite_matching(graph)
    key = np.int64(len(columns) + len(rows))
    return np.flatnonzero(np.isin(row * key + column, matched_row * key + matched_column))
