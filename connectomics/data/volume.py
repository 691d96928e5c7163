"""A volume that patches are cut from: its image, its label as codes, and how its grey values are scaled."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import final

import cv2
import numpy as np
from numpy.typing import NDArray

from connectomics.config.data import ImageTransformConfig
from connectomics.data.targets import NOT_ANNOTATED, Target
from connectomics.errors import VolumeError
from connectomics.geometry import ZYX, Box
from connectomics.volumes.intensity import IntensityRange
from connectomics.volumes.labelled import LabelledSource, measure_image
from connectomics.volumes.source import ArraySource, HeldSource, PlacedSource, VolumeSource

SECTIONS_AT_ONCE = 8
"""How many sections are read together while a label is encoded."""

SECTIONS_FOR_MEAN = 16
"""From how many sections, evenly spread, the mean grey value is taken."""


@final
class CodedLabel(VolumeSource):
    """A label and its mask, read as the codes of a target: uint8, one channel."""

    def __init__(self, label: VolumeSource, mask: VolumeSource | None, target: Target) -> None:
        self.info = replace(label.info, channels=1, dtype=np.dtype(np.uint8))
        self._label, self._mask, self._target = label, mask, target

    def _read(self, box: Box) -> NDArray[np.uint8]:
        try:
            codes = self._target.encode(self._label.read(box), self._label.info.layout)
        except VolumeError as error:
            raise VolumeError(f"{self.info.location}: {error}") from error
        if self._mask is not None:
            codes[self._mask.read(box)[0] == 0] = NOT_ANNOTATED
        return codes


@dataclass(frozen=True, slots=True)
class LearningVolume:
    """One volume of training or validation."""

    name: str
    image: VolumeSource
    codes: VolumeSource
    """Codes of the target, uint8, one channel; see `data.targets`."""
    intensity: IntensityRange
    mean: float
    """Mean grey value after scaling."""
    crop: Box | None = None
    """The part that patches are looked for in; what lies around it is seen, and not annotated. None is all of it."""

    @property
    def shape(self) -> ZYX:
        """Extent along (z, y, x), in voxels."""
        return self.image.shape

    @property
    def box(self) -> Box:
        """The part that patches are looked for in."""
        return self.crop or Box.whole(self.shape)

    def place(self, at: ZYX) -> ZYX:
        """Return a position (z, y, x) that is counted from where the box begins, counted from the first voxel."""
        z, y, x = (a + b for a, b in zip(self.box.start, at, strict=True))
        return z, y, x

    def scale(self, voxels: NDArray) -> NDArray[np.float32]:
        """Return raw grey values, contiguous, as `IntensityRange.scale` does; one byte a voxel goes through a table."""
        if voxels.dtype != np.uint8:
            return self.intensity.scale(voxels)
        table = self.intensity.scale(np.arange(256))
        return np.asarray(cv2.LUT(voxels.reshape(-1, voxels.shape[-1]), table), np.float32).reshape(voxels.shape)


def open_learning_volume(
    source: LabelledSource, target: Target, transform: ImageTransformConfig, preload: bool, reach: ZYX = (0, 0, 0)
) -> LearningVolume:
    """Measure a volume and, if asked, read it into memory.

    Args:
        source: Image and label, the mask where there is one.
        target: What the label becomes.
        transform: How grey values are scaled.
        preload: Hold image and codes in memory: one byte a voxel for an image of one byte, and one for the codes.
        reach: How far around a crop the image is held in memory too, where it may be seen, along (z, y, x).

    Raises:
        VolumeError: If it has no label, cannot be read, or holds values that mean nothing.
    """
    if source.label is None:
        raise VolumeError(f"{source.image.info.location} has no label to learn from")
    image: VolumeSource = source.image
    codes: VolumeSource = CodedLabel(source.label, source.mask, target)
    intensity = measure_image(source, transform)
    if source.seen.shape == source.image.shape:
        if preload:
            image, codes = ArraySource(image.read_all(), image.info), _encoded(codes)
        return LearningVolume(source.name, image, codes, intensity, _mean(image, intensity))
    mean, image = _mean(image, intensity), source.seen
    if preload:
        image, codes = HeldSource(image, source.box.grown(reach, image.shape)), _encoded(codes)
    around = PlacedSource(codes, image.shape, source.box.start, fill=NOT_ANNOTATED)
    return LearningVolume(source.name, image, around, intensity, mean, source.box)


def _encoded(codes: VolumeSource) -> ArraySource:
    """Return codes in memory; ids, eight bytes a voxel, are never there all at once."""
    whole = np.empty((1, *codes.shape), np.uint8)
    for box in Box.whole(codes.shape).slabs(SECTIONS_AT_ONCE):
        whole[:, *box.slices] = codes.read(box)
    return ArraySource(whole, codes.info)


def _mean(image: VolumeSource, intensity: IntensityRange) -> float:
    z = image.shape[0]
    sections = np.unique(np.linspace(0, z - 1, min(z, SECTIONS_FOR_MEAN)).round().astype(int))
    means = [intensity.scale(image.read(Box.sections(s, s + 1, image.shape))).mean(dtype=np.float64) for s in sections]
    return float(np.mean(means))
