"""Floor 3: how good a prediction is; masks and ids in, numbers out."""

from connectomics.metrics.label_pair import LabelPair
from connectomics.metrics.metric import Metric
from connectomics.metrics.pair import GridError, MaskPair, UndefinedError
from connectomics.metrics.table import METRICS, mean_over_volumes, score_volume, with_counts

__all__ = [
    "METRICS",
    "GridError",
    "LabelPair",
    "MaskPair",
    "Metric",
    "UndefinedError",
    "mean_over_volumes",
    "score_volume",
    "with_counts",
]
