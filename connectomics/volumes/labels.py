"""What label ids mean: a cleft, the background, or a voxel that does not count; told apart before any cast."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from connectomics.errors import VolumeError
from connectomics.geometry import Box
from connectomics.lookup import pick
from connectomics.volumes.chunks import CHUNK
from connectomics.volumes.source import Layout, VolumeSource

CREMI_BACKGROUND = 0xFFFFFFFFFFFFFFFF
"""A challenge file's id for voxels outside every cleft."""

EXCLUDED = 0xFFFFFFFFFFFFFFFE
"""A challenge file's id for voxels that nobody annotated, which count neither as cleft nor as background."""

OUTSIDE = 0xFFFFFFFFFFFFFFFD
"""What alignment tools write beyond the data of a challenge file; it counts like `EXCLUDED`."""


@dataclass(frozen=True, slots=True, eq=False)
class CleftLabel:
    """A label without its ids.

    Attributes:
        foreground: Cleft voxels, bool, in the shape of the ids; False wherever `annotated` is.
        annotated: Voxels that count, bool, same shape; None when all of them do.
    """

    foreground: NDArray[np.bool_]
    annotated: NDArray[np.bool_] | None


def split_clefts(ids: NDArray, layout: Layout) -> CleftLabel:
    """Tell cleft voxels, background and excluded voxels apart.

    Nothing wider than one byte a voxel is allocated.

    Args:
        ids: Labels as they are stored, (Z, Y, X) or any other shape.
        layout: How the ids are meant. In "cremi" 0 is an id like any other and 0xffffffffffffffff the background; in
            "main" 0 is the background.

    Raises:
        VolumeError: If the ids are of a type, or hold a value, that cannot mean what `layout` says.
        ConfigError: If `layout` is neither.
    """
    return pick(LAYOUTS, layout, "layout")(ids)


def require_label_type(label: VolumeSource) -> None:
    """Refuse, before a voxel is read, a volume whose type cannot hold the ids of a label.

    Raises:
        VolumeError: With the file and the reason.
    """
    try:
        split_clefts(np.zeros((0, 0, 0), label.info.dtype), label.info.layout)
    except VolumeError as error:
        raise VolumeError(f"{label.info.location}: {error}") from error


def _split_main(ids: NDArray) -> CleftLabel:
    if ids.dtype.kind not in "bui":
        raise VolumeError(f"the label is {ids.dtype}; ids are whole numbers, and a probability map is not a label")
    if ids.dtype.kind == "i" and ids.size and ids.min() < 0:
        raise VolumeError(
            f"the label holds the id {ids.min()}; no id is negative. A CREMI challenge file that was cast to "
            f"{ids.dtype} looks like this: give the uint64 file itself"
        )
    if ids.dtype.kind == "u" and ids.dtype.itemsize == 8 and ids.size and ids.max() >= OUTSIDE:
        raise VolumeError(
            f"the label holds {int(ids.max()):#x}, a marker of CREMI challenge files; with 0 for the background that "
            'would be a cleft. Its layout is "cremi"'
        )
    return CleftLabel(ids != 0, None)


def _split_cremi(ids: NDArray) -> CleftLabel:
    if ids.dtype.kind != "u" or ids.dtype.itemsize != 8:
        raise VolumeError(
            f"the label is {ids.dtype}; ids of a CREMI challenge file are uint64: in a copy of any other type, int64 "
            f"too, no voxel equals the background {CREMI_BACKGROUND:#x}"
        )
    foreground = ids < np.uint64(OUTSIDE)
    annotated = ids == np.uint64(CREMI_BACKGROUND)
    np.logical_or(annotated, foreground, out=annotated)
    return CleftLabel(foreground, None if annotated.all() else annotated)


LAYOUTS: Mapping[str, Callable[[NDArray], CleftLabel]] = {"main": _split_main, "cremi": _split_cremi}


@dataclass(frozen=True, slots=True, eq=False)
class LabelIds:
    """A label with its ids.

    Attributes:
        ids: 0 for the background and wherever nobody annotated, (Z, Y, X); the smallest unsigned type that holds them.
        annotated: Voxels that count, bool, same shape; None when all of them do.
    """

    ids: NDArray[np.unsignedinteger]
    annotated: NDArray[np.bool_] | None


def label_ids(stored: NDArray, layout: Layout, is_truth: bool = True) -> LabelIds:
    """Return what ids as they are stored, (Z, Y, X), mean.

    In the layout "cremi", where 0 is an id like any other, every id is raised by one.

    Args:
        stored: The ids.
        layout: How they are meant.
        is_truth: Whether somebody annotated them. In a prediction of the challenge's layout the marks of what nobody
            annotated are ids like any other, as `cremi/evaluation/Clefts.py` of cremi/cremi_python has it.

    Raises:
        VolumeError: If the ids are of a type, or hold a value, that cannot be a label's.
    """
    label = split_clefts(stored, layout)
    if layout == "cremi" and not is_truth:
        label = CleftLabel(stored != np.uint64(CREMI_BACKGROUND), None)
    ids = np.where(label.foreground, stored, np.zeros(1, stored.dtype)).astype(np.uint64)
    if layout == "cremi":
        ids += label.foreground
    return LabelIds(ids.astype(np.min_scalar_type(int(ids.max(initial=0))), copy=False), label.annotated)


def mark_counting(annotated: NDArray[np.bool_] | None, mask: NDArray) -> NDArray[np.bool_]:
    """Return the voxels that count in a label and in its mask.

    Args:
        annotated: Those that count in the label, bool; None when all of them do.
        mask: The voxels of the mask, not 0 where somebody annotated; same shape.
    """
    drawn = mask != 0
    return drawn if annotated is None else annotated & drawn


def read_label(source: VolumeSource, is_truth: bool = True) -> LabelIds:
    """Read a label, or a prediction of ids, whole, some sections at a time; see `label_ids`.

    Raises:
        VolumeError: If it cannot be read, or the ids are of a type, or hold a value, that cannot be a label's.
    """
    ids, annotated = np.zeros(source.shape, np.uint8), np.ones(source.shape, np.bool_)
    for box in Box.whole(source.shape).slabs(CHUNK[0]):
        part = label_ids(source.read(box)[0], source.info.layout, is_truth)
        ids = ids.astype(np.promote_types(ids.dtype, part.ids.dtype), copy=False)
        ids[box.slices] = part.ids
        if part.annotated is not None:
            annotated[box.slices] = part.annotated
    return LabelIds(ids, None if annotated.all() else annotated)
