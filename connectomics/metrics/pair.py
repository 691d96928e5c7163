"""A predicted and an annotated mask on one grid, with the voxels that do not count taken out of both."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import isclose
from typing import Any

import numpy as np
from numpy.typing import NDArray

from connectomics.errors import VolumeError
from connectomics.geometry import Spacing

Mask = NDArray[np.bool_]
"""Voxels of the foreground, bool, (Z, Y, X)."""

SAME_SPACING = 1e-6
"""Voxel sizes whose relative difference is smaller are the same size, rounded to float32 on the way."""


class GridError(VolumeError, ValueError):
    """Two masks cannot be compared voxel by voxel."""


class UndefinedError(ValueError):
    """No number exists; the message is the reason."""


@dataclass(frozen=True, slots=True, eq=False)
class MaskPair:
    """A prediction and the truth that it is scored against.

    Excluded voxels belong to neither mask: `predicted` and `truth` are copied without them where they held any.

    Attributes:
        predicted: Voxels predicted as cleft, bool, (Z, Y, X).
        truth: Voxels annotated as cleft, bool, same shape.
        spacing_nm: Voxel size along (z, y, x), in nanometres.
        annotated: Voxels that count, bool, same shape; None when all of them do.
        labelled: The components of both, by connectivity, once they were asked for: see `components.pair_components`.

    Raises:
        GridError: If the shapes differ (it is a ValueError and a VolumeError).
        ValueError: If a mask is not bool, or not of three axes.
    """

    predicted: Mask
    truth: Mask
    spacing_nm: Spacing
    annotated: Mask | None = None
    labelled: dict[int, Any] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        predicted, truth = on_one_grid(self.predicted, self.truth, self.annotated, "b", "a mask is bool")
        object.__setattr__(self, "predicted", predicted)
        object.__setattr__(self, "truth", truth)

    def require_predicted(self) -> None:
        """Raise UndefinedError if no voxel is predicted."""
        if not self.predicted.any():
            raise UndefinedError(f"no voxel is predicted{self._where}")

    def require_truth(self) -> None:
        """Raise UndefinedError if no voxel is annotated as cleft."""
        if not self.truth.any():
            raise UndefinedError(f"no voxel is annotated as cleft{self._where}")

    def require_either(self) -> None:
        """Raise UndefinedError if both masks are empty."""
        if not self.truth.any() and not self.predicted.any():
            raise UndefinedError(f"no voxel is predicted, and none is annotated as cleft{self._where}")

    @property
    def _where(self) -> str:
        if self.annotated is None:
            return ""
        return " outside the excluded ones" if self.annotated.any() else ": every voxel is excluded"


def on_one_grid(
    predicted: NDArray, truth: NDArray, annotated: Mask | None, kinds: str, meant: str
) -> tuple[NDArray, NDArray]:
    """Return what was predicted and annotated (Z, Y, X) without the excluded voxels, where both can be compared.

    Args:
        predicted: A mask or ids.
        truth: The same.
        annotated: Voxels that count, bool; None when all of them do.
        kinds: The kinds of types that are allowed, as letters of NumPy: "b" bool, "u" unsigned.
        meant: What they should have been, for the message.

    Raises:
        GridError: If the shapes differ.
        ValueError: If one is of another type, or not of three axes.
    """
    arrays = {"predicted": predicted, "truth": truth}
    for name, array in arrays.items():
        if array.dtype.kind not in kinds or array.ndim != 3:
            raise ValueError(f"{name} is {array.dtype} of shape {array.shape}; {meant}, (Z, Y, X)")
    if annotated is None:
        require_same_shape(arrays)
        return predicted, truth
    if annotated.dtype != np.bool_:
        raise ValueError(f"annotated is {annotated.dtype}; a mask is bool")
    require_same_shape({**arrays, "annotated": annotated})
    return keep_annotated(predicted, annotated), keep_annotated(truth, annotated)


def require_same_shape(arrays: Mapping[str, NDArray]) -> None:
    """Refuse arrays, by the names a message gives them, of which one differs in shape from "truth".

    Raises:
        GridError: If they differ.
    """
    truth = arrays["truth"].shape
    for name, array in arrays.items():
        if array.shape != truth:
            raise GridError(f"{name} has shape {array.shape}, truth has {truth}; they must be the same")


def require_same_spacing(predicted_nm: Spacing, truth_nm: Spacing) -> None:
    """Refuse voxel sizes, along (z, y, x) in nanometres, that differ by more than the rounding of a float32.

    Raises:
        GridError: If they differ.
    """
    if not all(isclose(a, b, rel_tol=SAME_SPACING) for a, b in zip(predicted_nm, truth_nm, strict=True)):
        raise GridError(
            f"the prediction has voxels of {tuple(predicted_nm)} nm, the truth of {tuple(truth_nm)} nm; "
            "they must be the same"
        )


def keep_annotated(voxels: NDArray, annotated: Mask) -> NDArray:
    """Return a mask or ids (Z, Y, X) with 0 in the excluded voxels: the array itself where they are 0 already.

    Raises:
        GridError: If the shapes differ.
    """
    require_same_shape({"truth": voxels, "annotated": annotated})
    if any(section.any(where=~counts) for section, counts in zip(voxels, annotated, strict=True)):
        return voxels * annotated
    return voxels
