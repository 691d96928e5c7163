"""The metrics by name, and the scores of one volume and of several, as `metrics.json` holds them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from statistics import fmean
from typing import Any

from connectomics.lookup import pick
from connectomics.metrics.cleft_distance import measure_cleft_distance
from connectomics.metrics.judged import synapse_detection, synapse_f1
from connectomics.metrics.label_pair import LabelPair
from connectomics.metrics.matching import MatchRule
from connectomics.metrics.metric import Metric, Score
from connectomics.metrics.overlap import dice, jaccard, precision, recall
from connectomics.metrics.pair import MaskPair, UndefinedError
from connectomics.metrics.polarity import detect_sided, pair_sides


def of_masks(score: Callable[[MaskPair], Score]) -> Callable[[LabelPair, MatchRule], Score]:
    """Return the score of a metric that looks at the foreground alone."""
    return lambda pair, rule: score(pair.masks)


def cremi_distance(pair: MaskPair) -> dict[str, Any]:
    """Return the CREMI distance of a pair as it stands in `metrics.json`.

    Raises:
        UndefinedError: If a mask is empty.
    """
    return measure_cleft_distance(pair).to_json()


def polarity_f1(pair: LabelPair, rule: MatchRule) -> dict[str, Any]:
    """Return how well synapses with two sides were found, as it stands in `metrics.json`; a definition of our own.

    Raises:
        UndefinedError: If nothing is predicted and nothing annotated.
    """
    pair.masks.require_either()
    return detect_sided(pair_sides(pair), rule).to_json()


METRICS: Mapping[str, Metric] = {
    "cremi_distance": Metric(
        of_masks(cremi_distance),
        lower_is_better=True,
        title="CREMI distance",
        unit="nm",
        parts={"score": "CREMI (nm)", "adgt": "ADGT (nm)", "adf": "ADF (nm)"},
        curves=("adgt", "adf"),
        swept=True,
        meaning="how far the outlines lie apart, the mean of ADGT (from predicted to annotated voxels: grows with what "
        "is invented) and ADF (from annotated to predicted ones: grows with what is missed)",
    ),
    "jaccard": Metric(
        of_masks(jaccard),
        lower_is_better=False,
        title="Jaccard index",
        figure="overlap",
        swept=True,
        meaning="of the voxels that are predicted or annotated, the share that is both",
    ),
    "dice": Metric(
        of_masks(dice),
        lower_is_better=False,
        title="Dice coefficient",
        swept=True,
        meaning="twice the voxels that are predicted and annotated, over the predicted and the annotated ones",
    ),
    "precision": Metric(
        of_masks(precision),
        lower_is_better=False,
        title="voxel precision",
        figure="overlap",
        swept=True,
        meaning="the share of the predicted voxels that are annotated",
    ),
    "recall": Metric(
        of_masks(recall),
        lower_is_better=False,
        title="voxel recall",
        figure="overlap",
        swept=True,
        meaning="the share of the annotated voxels that are predicted",
    ),
    "synapse_detection": Metric(
        synapse_detection,
        lower_is_better=False,
        title="synapse detection, one-to-one F1",
        parts={
            "f1": "detection F1",
            "precision": "detection precision",
            "recall": "detection recall",
            "one_to_one_f1": "one-to-one F1",
        },
        decides="one_to_one_f1",
        figure="objects",
        swept=True,
        meaning="whether synapses were noticed: precision is the share of the predicted objects that lie on an "
        "annotated synapse, recall the share of the annotated ones on which something lies, F1 combines both; in the "
        "one-to-one F1 every object counts once, so that mergers and pieces lower it",
    ),
    "synapse_f1": Metric(
        synapse_f1,
        lower_is_better=False,
        title="strict synapse F1",
        figure="objects",
        swept=True,
        meaning="the same, strictly: one predicted object for one annotated synapse, at least half alike in outline "
        "(evaluation.strict_iou)",
    ),
    "polarity_f1": Metric(
        polarity_f1,
        lower_is_better=False,
        title="F1 of synapses with two sides",
        parts={
            "f1": "F1",
            "precision": "precision",
            "recall": "recall",
            "right_way_round": "right way round",
            "pre_iou": "pre IoU",
            "post_iou": "post IoU",
        },
        needs_sides=True,
        meaning="synapses matched one to one as strictly, by the union of their sides; the share of the matched ones "
        "whose sides are the right way round, and how alike the sides are",
    ),
}
"""`evaluation.metrics` and `decoding.tuning.metric` to the metric."""


ALWAYS_COUNTED = ("synapse_detection", "synapse_f1")
"""Metrics that are counted beside `evaluation.metrics`, whatever these are: how many synapses there are, and how many
were found, is what people ask first."""


def with_counts(names: Iterable[str]) -> list[str]:
    """Return the names of metrics with those that are always counted, each once."""
    return list(dict.fromkeys([*names, *ALWAYS_COUNTED]))


def score_volume(
    pair: LabelPair, names: Iterable[str], rule: MatchRule | None = None, metrics: Mapping[str, Metric] = METRICS
) -> dict[str, Any]:
    """Score one volume.

    Args:
        pair: Prediction and truth.
        names: Which metrics, by their names in `metrics`.
        rule: When a predicted and an annotated synapse are the same one; the default rule when None.
        metrics: The table to pick from.

    Returns:
        Name -> score; an undefined one is None, with the reason under "<name>_undefined".

    Raises:
        ConfigError: If a name is not in the table; nothing has been computed then.
    """
    chosen = {name: pick(metrics, name, "evaluation.metrics") for name in names}
    scores: dict[str, Any] = {}
    for name, metric in chosen.items():
        try:
            scores[name] = metric.score(pair, rule or MatchRule())
        except UndefinedError as reason:
            scores |= _undefined(name, str(reason))
    return scores


def mean_over_volumes(volumes: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Average the scores of several volumes, each with the same weight.

    Of a score that is several numbers, the statistics of the distances are left out: a mean of medians is no median.
    A score that is undefined in one volume is undefined in the mean: a mean over the others would flatter a model
    that finds nothing there.

    Args:
        volumes: Volume -> what `score_volume` returned for it; all with the same metrics.

    Returns:
        The shape of a single volume's scores; empty when there is no volume.

    Raises:
        ValueError: If a volume lacks a metric that another has.
    """
    scored = {name: _metrics_of(scores) for name, scores in volumes.items()}
    means: dict[str, Any] = {}
    for metric in dict.fromkeys(metric for metrics in scored.values() for metric in metrics):
        absent = [name for name, metrics in scored.items() if metric not in metrics]
        if absent:
            raise ValueError(f"{', '.join(absent)} has no {metric}, other volumes have; no mean can be taken")
        missing = [f"{name} ({v.get(f'{metric}_undefined')})" for name, v in volumes.items() if v[metric] is None]
        if missing:
            means |= _undefined(metric, f"undefined in {', '.join(missing)}")
        else:
            means[metric] = _mean([scores[metric] for scores in volumes.values()])
    return means


def _metrics_of(scores: Mapping[str, Any]) -> list[str]:
    """Return the metrics of a volume, without the reasons beside them."""
    return [name for name in scores if not name.endswith("_undefined")]


def _mean(scores: list[Score]) -> Score:
    """Average numbers, or the plain numbers among named ones."""
    numbers = [score for score in scores if not isinstance(score, dict)]
    if numbers:
        return fmean(numbers)
    named = [score for score in scores if isinstance(score, dict)]
    keys = [key for key, value in named[0].items() if not isinstance(value, dict)]
    return {key: _mean_or_none([score[key] for score in named]) for key in keys}


def _mean_or_none(numbers: list[float | None]) -> float | None:
    """Average numbers; None where one of them does not exist."""
    there = [number for number in numbers if number is not None]
    return fmean(there) if len(there) == len(numbers) else None


def _undefined(name: str, reason: str) -> dict[str, Any]:
    """Return the entries of a score that does not exist."""
    return {name: None, f"{name}_undefined": reason}
