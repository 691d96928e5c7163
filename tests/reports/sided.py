"""A phantom with the two sides of its synapses, and a prediction of it that is wrong in known ways."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from connectomics.geometry import ZYX
from connectomics.metrics import LabelPair
from connectomics.metrics.judged import judge
from connectomics.metrics.matching import MatchRule
from connectomics.phantom import make_phantom
from connectomics.reports.reported import ReportedVolume
from connectomics.volumes.intensity import IntensityRange
from connectomics.volumes.source import ArraySource

SPACING = (40.0, 8.0, 8.0)
CLASSES = ("pre", "post")


@dataclass(frozen=True, slots=True, eq=False)
class Sided:
    """Everything that a page shows of one volume, and what is wrong in it."""

    volume: ReportedVolume
    predicted: NDArray[np.uint64]
    truth: NDArray[np.uint64]
    lost: int
    """Annotated synapses that are not predicted."""
    turned: int
    """Predicted ones whose sides are exchanged, or of which one is missing."""
    invented: int
    """Predicted ones that there are not."""


def sided_phantom(shape: ZYX = (12, 160, 200), seed: int = 3) -> Sided:
    """Lose a synapse, turn two round, take one side of a third, invent one; the others stay right."""
    phantom = make_phantom(shape, np.random.default_rng(seed), apart=(1, 8, 8))
    truth = phantom.polarity
    predicted = truth.copy()
    number = int(truth.max()) // 2
    assert number >= 6, "the phantom is too small"
    predicted[(truth == 1) | (truth == 2)] = 0
    for k in (2, 3):
        predicted[truth == 2 * k - 1], predicted[truth == 2 * k] = 2 * k, 2 * k - 1
    predicted[truth == 8] = 7  # a synapse that is all pre
    empty = np.argwhere(np.pad(truth == 0, ((0, 0), (0, 8), (0, 20)), constant_values=False)[:, :-8, :-20])
    z, y, x = (int(i) for i in empty[len(empty) // 2])
    free = predicted[z : z + 2, y : y + 8, x : x + 20] == 0
    predicted[z : z + 2, y : y + 4, x : x + 20][free[:, :4]] = 2 * number + 1
    predicted[z : z + 2, y + 4 : y + 8, x : x + 20][free[:, 4:]] = 2 * number + 2
    soft = [np.stack([cv2.GaussianBlur(s.astype(np.float32), (0, 0), 1) for s in mask]) for mask in
            (predicted % 2 == 1, (predicted > 0) & (predicted % 2 == 0), predicted > 0)]  # fmt: skip
    judged = judge(LabelPair(predicted, truth, SPACING, sided=True), MatchRule())
    volume = ReportedVolume(
        "im_A", ArraySource.of(phantom.image, SPACING), IntensityRange(0, 255), judged,
        probability=ArraySource.of(np.stack(soft), SPACING), foreground=lambda probability: probability[2],
    )  # fmt: skip
    return Sided(volume, predicted, truth, lost=1, turned=3, invented=1)
