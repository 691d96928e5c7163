"""A phantom, and a prediction of it that is wrong in known ways."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from connectomics.geometry import ZYX
from connectomics.metrics import LabelPair, mean_over_volumes, score_volume, with_counts
from connectomics.metrics.judged import judge
from connectomics.metrics.matching import MatchRule
from connectomics.phantom import make_phantom
from connectomics.reports.reported import ReportedVolume
from connectomics.volumes.intensity import IntensityRange
from connectomics.volumes.source import ArraySource

SPACING = (40.0, 8.0, 8.0)


@dataclass(frozen=True, slots=True, eq=False)
class Corrupted:
    """Everything that a page shows of one volume."""

    volume: ReportedVolume
    pair: LabelPair


def corrupt(image: NDArray, label: NDArray, name: str, rng: np.random.Generator, lost: int, invented: int) -> Corrupted:
    """Lose some synapses, invent others, shift what is left by a pixel; probabilities fall off softly at the border."""
    truth = label != 0
    predicted = np.isin(label, rng.permutation(np.unique(label[truth]))[lost:]) & truth
    predicted = np.roll(predicted, 1, axis=1)
    depth, height, width = truth.shape
    for _ in range(invented):
        z, y, x = rng.integers(0, (max(1, depth - 2), max(1, height - 24), max(1, width - 24)))
        predicted[z : z + 3, y : y + 6, x : x + 20] = True
    soft = np.stack([cv2.GaussianBlur(section.astype(np.float32), (0, 0), 1.5) for section in predicted])
    probability = np.clip(soft + rng.normal(0, 0.02, truth.shape), 0, 1).astype(np.float32)
    mask = probability >= np.float32(0.5)
    pair = LabelPair(mask, truth, SPACING)
    volume = ReportedVolume(name, ArraySource.of(image, SPACING), IntensityRange(0, 255), judge(pair, MatchRule()),
                            ArraySource.of(probability, SPACING))  # fmt: skip
    return Corrupted(volume, pair)


def corrupted_phantom(
    shape: ZYX, name: str = "im_A", seed: int = 0, lost: int = 2, invented: int = 2, synapses_per_um3: float = 30.0
) -> Corrupted:
    """Return a phantom with a wrong prediction."""
    phantom = make_phantom(shape, np.random.default_rng(seed), synapses_per_um3=synapses_per_um3)
    return corrupt(phantom.image, phantom.label, name, np.random.default_rng(seed), lost, invented)


def scores_of(*cases: Corrupted) -> dict:
    """Return what `metrics.json` holds of them."""
    names = with_counts(["cremi_distance", "jaccard", "precision", "recall"])
    volumes = {case.volume.name: score_volume(case.pair, names) for case in cases}
    return {"volumes": volumes, "mean": mean_over_volumes(volumes)}
