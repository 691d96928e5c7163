"""The plain definition of a prediction: the whole volume in memory, every window, every view, then a division."""

from __future__ import annotations

from itertools import chain, combinations, product

import numpy as np
import numpy.typing as npt
import torch

from connectomics.inference import Forward

NUMPY_MODES = {"reflect": "reflect", "replicate": "edge", "constant": "constant"}
WEIGHTS = {
    "constant": lambda u: np.ones_like(u),
    "linear": lambda u: 1 - np.abs(u),
    "gaussian": lambda u: np.exp(-((4 * u) ** 2) / 2),
    "bump": lambda u: np.exp(-1 / (1 - u**2)),
}
JOINED = {"mean": np.mean, "min": np.min, "max": np.max}


def predict_plainly(
    scaled: npt.NDArray[np.float32],
    forward: Forward,
    window: tuple[int, int, int],
    overlap: float,
    blending: str = "bump",
    pad: tuple[int, int, int] = (0, 0, 0),
    pad_mode: str = "reflect",
    flip_axes: tuple[int, ...] = (),
    ensemble: str = "mean",
    activation=torch.sigmoid,
    quarters: tuple[int, ...] = (0,),
    flips_by_parity=None,
) -> npt.NDArray[np.float64]:
    """Predict a scaled volume (C, Z, Y, X) that is, with its padding, at least as large as a window."""
    padded = np.pad(scaled, [(0, 0), *((p, p) for p in pad)], mode=NUMPY_MODES[pad_mode])
    weight = 1.0
    for axis, size in enumerate(window):
        u = (2 * np.arange(size) + 1 - size) / size
        weight = weight * WEIGHTS[blending](u).reshape([-1 if a == axis else 1 for a in range(3)])
    flips = list(chain.from_iterable(combinations(flip_axes, n) for n in range(len(flip_axes) + 1)))
    total, weights = 0.0, np.zeros(padded.shape[1:])
    starts = [list(enumerate(_starts(n, w, overlap))) for n, w in zip(padded.shape[1:], window, strict=True)]
    for place in product(*starts):
        where = tuple(slice(a, a + n) for (_, a), n in zip(place, window, strict=True))
        chosen = flips if flips_by_parity is None else flips_by_parity[sum(number for number, _ in place) % 2]
        views = []
        for turn, flip in product(quarters, chosen):
            axes = [a + 1 for a in flip]
            look = np.rot90(np.flip(padded[(slice(None), *where)], axes), turn, (2, 3))
            views.append(np.flip(np.rot90(_activated(look, forward, activation), -turn, (2, 3)), axes))
        joined = JOINED[ensemble](views, axis=0)
        total = np.zeros((len(joined), *padded.shape[1:])) if isinstance(total, float) else total
        total[(slice(None), *where)] += weight * joined
        weights[where] += weight
    inside = tuple(slice(p, n - p) for p, n in zip(pad, padded.shape[1:], strict=True))
    return (total / weights)[(slice(None), *inside)]


def _activated(window, forward, activation):
    with torch.inference_mode():
        return activation(forward(torch.from_numpy(window.copy())[None]))[0].double().numpy()


def _starts(extent: int, size: int, overlap: float) -> list[int]:
    return [*range(0, extent - size, max(1, round(size * (1 - overlap)))), extent - size]
