"""Floor 3: how good a prediction is; masks in, numbers out."""

from connectomics.metrics.pair import GridError, MaskPair, UndefinedError
from connectomics.metrics.table import METRICS, mean_over_volumes, score_volume

__all__ = ["METRICS", "GridError", "MaskPair", "UndefinedError", "mean_over_volumes", "score_volume"]
