"""The page of a tuning on a phantom."""

from pathlib import Path

import numpy as np

from connectomics.geometry import Box
from connectomics.metrics import METRICS, LabelPair, score_volume
from connectomics.metrics.sweep.levels import measure_levels
from connectomics.metrics.sweep.swept_scores import open_sizes, sweep_masks
from connectomics.reports.tried_sections import TriedSection, busiest
from connectomics.reports.tuning import write_tuning
from tests.reports.corrupted import SPACING, corrupted_phantom

THRESHOLDS = [round(0.1 * i, 1) for i in range(1, 10)]
SIZES = [0, 60]
NAMES = ["cremi_distance", "jaccard", "recall", "synapse_f1"]


def write_tuning_page(path: Path, title: str = "a test") -> dict:
    """Write the page, and return the row that it shows as the best."""
    case = corrupted_phantom((6, 60, 80))
    assert case.volume.probability is not None
    probability, shape = case.volume.probability.read_all()[0], case.volume.image.shape
    levels = measure_levels([(Box.whole(shape), probability)], shape, THRESHOLDS)
    opened, truth = open_sizes(levels, SIZES), case.pair.truth
    settings = [{"threshold": t, "min_size": size} for size in SIZES for t in THRESHOLDS]
    rows = [
        setting | {name: METRICS[name].number(score) for name, score in scores.items() if name in METRICS}
        for setting, mask in zip(settings, sweep_masks(opened, len(THRESHOLDS)), strict=True)
        for scores in [score_volume(LabelPair(mask, truth.astype(np.uint8), SPACING), NAMES)]
    ]
    best = max(rows, key=lambda row: row["jaccard"])
    gray = case.volume.image.read_all()[0]
    sections = [TriedSection(z, gray[z], [one[z] for one in opened], truth[z]) for z in busiest(truth.sum(axis=(1, 2)))]
    with path.open("w", encoding="utf-8") as page:
        write_tuning(page, title, {"im_A": rows}, rows, best, "jaccard", {"im_A": sections})
    return best
