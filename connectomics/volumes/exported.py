"""A volume as another program is given it: probabilities or ids, in a type that the program's format has."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from connectomics.errors import VolumeError
from connectomics.geometry import Box, Spacing
from connectomics.volumes.chunks import CHUNK
from connectomics.volumes.dataset import KINDS
from connectomics.volumes.labels import label_ids
from connectomics.volumes.read import split_location
from connectomics.volumes.source import VolumeSource

CONTENT = "content"
"""Attribute by which files of this package say what their numbers are."""


@dataclass(frozen=True, slots=True, eq=False)
class ExportedVolume:
    """What is written, box by box."""

    source: VolumeSource
    spacing_nm: Spacing
    is_label: bool
    """Whether the voxels are ids, 0 for the background, and not grey values or probabilities."""
    dtype: np.dtype
    scale: float | None
    """What a probability of 1 is stored as, where they are whole numbers."""

    @property
    def may_be_ids(self) -> bool:
        """Whether nothing but the type of the voxels says that they are no ids."""
        info = self.source.info
        return not self.is_label and info.channels == 1 and info.dtype.kind != "f" and "scale" not in info.attributes

    def read(self, box: Box) -> npt.NDArray:
        """Return the voxels of a box, (C, Z, Y, X), in the type that is written."""
        return _numbers(self.source, box, self.is_label).astype(self.dtype, copy=False)

    @property
    def channel_names(self) -> list[str]:
        """Names of the channels of a prediction; empty where there is one channel, or they have no names."""
        names = [name.strip() for name in str(self.source.info.attributes.get("channels", "")).split(",")]
        return names if len(names) == self.source.info.channels > 1 else []


def prepare_export(
    source: VolumeSource, images: tuple[str, ...], labels: tuple[str, ...], form: str, is_label: bool | None = None
) -> ExportedVolume:
    """Choose the type in which a volume is written.

    Args:
        source: The volume; a part of it is read where its ids decide the type.
        images: Types that the form has for grey values and probabilities, such as "uint8".
        labels: Types that it has for ids, the narrowest first.
        form: Name of the form, for messages.
        is_label: Whether the voxels are ids; None goes by what the file says.

    Raises:
        VolumeError: If the form has no type for these voxels, or the voxel size is not known.
    """
    info = source.info
    if info.spacing_nm is None:
        raise VolumeError(f"{info.location} does not state its voxel size; give --resolution Z Y X, in nm")
    if is_label is None:
        is_label = holds_ids(source)
    if is_label and info.channels > 1:
        raise VolumeError(f"{info.location} has {info.channels} channels; ids have one")
    dtype = _label_type(source, labels, form) if is_label else _image_type(info.dtype, images, info.location, form)
    scale = None if is_label else _scale(source)
    return ExportedVolume(source, info.spacing_nm, is_label, dtype, scale)


def holds_ids(source: VolumeSource) -> bool:
    """Return whether a volume holds ids: by what the file says, else by the name of its dataset, else by its type."""
    info = source.info
    if info.dtype.kind == "f" or "scale" in info.attributes:
        return False
    if info.layout == "cremi" or info.dtype.kind == "b" or CONTENT in info.attributes:
        return True
    parts = (split_location(info.location)[1] or "").lower().split("/")
    kind = next((KINDS[part] for part in reversed(parts) if part in KINDS), None)
    return info.dtype.itemsize > 2 if kind is None else kind != "image"


def _scale(source: VolumeSource) -> float | None:
    value = source.info.attributes.get("scale")
    try:
        scale = None if value is None else float(np.asarray(value).item())
    except (TypeError, ValueError):  # of another kind, such as the voxel size of some exports
        return None
    return None if scale == 1 else scale


def _numbers(source: VolumeSource, box: Box, is_label: bool) -> npt.NDArray:
    voxels = source.read(box)
    return label_ids(voxels[0], source.info.layout).ids[np.newaxis] if is_label else voxels


def _image_type(dtype: np.dtype, types: tuple[str, ...], location: str, form: str) -> np.dtype:
    """Return the type of a form that holds every number of another type, the same one if it can."""
    if dtype.name in types:
        return dtype.newbyteorder("=")
    if dtype.kind == "f" and "float32" in types:  # 64 bits say nothing more about a grey value or a probability
        return np.dtype(np.float32)
    wider = [np.dtype(name) for name in types if np.can_cast(dtype, name)]
    if not wider:
        raise VolumeError(f"{location} holds {dtype}, which {form} does not have for images; it has {', '.join(types)}")
    return min(wider, key=lambda one: (one.itemsize, one.kind == "f"))


def _label_type(source: VolumeSource, types: tuple[str, ...], form: str) -> np.dtype:
    """Return the type for ids: their own where the form has it, else the narrowest that holds all of them."""
    own = source.info.dtype
    if own.name in types and source.info.layout == "main":
        return own.newbyteorder("=")
    boxes = Box.whole(source.shape).slabs(CHUNK[0])
    largest = 1 if own.kind == "b" else max(int(_numbers(source, box, True).max()) for box in boxes)
    for name in types:
        if largest <= np.iinfo(name).max:
            return np.dtype(name)
    raise VolumeError(f"{source.info.location} has ids up to {largest}; {form} has {types[-1]} at most for ids")
