"""How much a voxel of a window counts, by its place in the window."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import numpy.typing as npt

Profile = Callable[[int], npt.NDArray[np.float64]]
"""Maps the size of a window along one axis to the logarithm of the weight at each position, up to a constant."""


def _bump(size: int) -> npt.NDArray[np.float64]:
    """Return the logarithm of exp(-1 / (1 - u^2)), the smooth function that vanishes, flat, at both ends."""
    return -1 / (1 - _from_centre(size) ** 2)


def _gaussian(size: int) -> npt.NDArray[np.float64]:
    """Return the logarithm of a Gaussian whose standard deviation is an eighth of the window."""
    return -0.5 * (4 * _from_centre(size)) ** 2


def _linear(size: int) -> npt.NDArray[np.float64]:
    """Return the logarithm of the distance to the nearer end."""
    return np.log(1 - np.abs(_from_centre(size)))


def _constant(size: int) -> npt.NDArray[np.float64]:
    return np.zeros(size)


PROFILES: Mapping[str, Profile] = {"bump": _bump, "gaussian": _gaussian, "linear": _linear, "constant": _constant}
"""`inference.window.blending` to the weight profile; the weight of a voxel is the product over the three axes."""


def seam_weights(starts: Sequence[int], size: int, profile: Profile) -> npt.NDArray[np.float32]:
    """Return what each window counts along one axis; at every position the windows that cover it sum to one.

    The sums are taken of logarithms (a softmax over the covering windows): far from the centre of a large window a bump
    is smaller than the smallest float, and still the windows there share the position as they should.

    Args:
        starts: First position of each window, ascending, without a gap between windows.
        size: Extent of each window, in voxels.
        profile: One of `PROFILES`.

    Returns:
        Weights, (windows, size).
    """
    logarithms = profile(size)
    total = np.full(starts[-1] + size - starts[0], -np.inf)
    for start in starts:
        covered = total[start - starts[0] :][:size]
        np.logaddexp(covered, logarithms, out=covered)
    weights = [np.exp(logarithms - total[start - starts[0] :][:size]) for start in starts]
    return np.stack(weights).astype(np.float32)


def _from_centre(size: int) -> npt.NDArray[np.float64]:
    """Return the position of each voxel's centre in a window that reaches from -1 to 1."""
    return (2 * np.arange(size) + 1 - size) / size
