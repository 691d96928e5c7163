"""What an image and its label are like, as far as the settings of a training depend on it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import cc3d
import cv2
import numpy as np
from numpy.typing import NDArray

from connectomics.geometry import ZYX, Box, Spacing
from connectomics.volumes.labelled import LabelledSource
from connectomics.volumes.labels import mark_counting, split_clefts
from connectomics.volumes.source import VolumeSource

MOST_VOXELS = 400_000_000
"""How much of a label is looked at: all of it, or a box of this many voxels in its middle."""

MOST_SECTIONS = 24
"""How many sections of an image are looked at, evenly spread."""


@dataclass(frozen=True, slots=True)
class ImageFacts:
    """What an image is like."""

    location: str
    shape: ZYX
    spacing_nm: Spacing
    dtype: str
    grey: tuple[float, float, float]
    """The grey values below which 1, 50 and 99 % of the voxels are."""
    empty: float
    """Share of the voxels that are exactly 0."""
    blank_sections: tuple[int, ...]
    """Sections, among those that were looked at, in which all voxels are alike."""
    values: int
    """How many different grey values there are, of those that were looked at."""


@dataclass(frozen=True, slots=True)
class CleftFacts:
    """What the annotated clefts of a volume are like."""

    location: str
    annotated: int
    """Voxels that were looked at, without those that nobody annotated."""
    share: float
    """Share of them that are foreground."""
    sizes: tuple[int, ...]
    """Voxels of each component, ascending."""
    thickness_px: float
    """Thickness in the section plane, in pixels: the median along the middle line of each cleft; 0 without any."""
    whole: bool
    """Whether the whole label was looked at."""


def look_at_image(source: VolumeSource) -> ImageFacts:
    """Look at some sections of an image.

    Raises:
        VolumeError: If the image cannot be read.
    """
    sections = sorted({int(z) for z in np.linspace(0, source.shape[0] - 1, min(MOST_SECTIONS, source.shape[0]))})
    values, blank, zero, seen = [], [], 0, 0
    for z in sections:
        section = source.read(Box.sections(z, z + 1, source.shape))[0, 0]
        if section.min() == section.max():
            blank.append(z)
        zero, seen = zero + int(np.count_nonzero(section == 0)), seen + section.size
        values.append(section[::4, ::4].ravel())
    sample = np.concatenate(values)
    low, middle, high = (float(v) for v in np.percentile(sample[np.isfinite(sample)], [1, 50, 99]))
    spacing = source.info.spacing_nm
    assert spacing is not None  # an image without one is not opened
    return ImageFacts(
        source.info.location, source.shape, spacing, str(source.info.dtype), (low, middle, high), zero / seen,
        tuple(blank), len(np.unique(sample)),
    )  # fmt: skip


def look_at_clefts(volume: LabelledSource) -> CleftFacts:
    """Look at the label of a volume, as a cleft target takes it: every id is foreground.

    Raises:
        VolumeError: If the label cannot be read.
    """
    assert volume.label is not None
    box = _middle(volume.label.shape)
    foreground = np.zeros(box.shape, np.bool_)
    annotated, pixels = 0, 0
    widths = [np.zeros(0, np.float32)]
    for slab, found, counts in _read(volume, box):
        foreground[slab] = found
        annotated += int(np.count_nonzero(counts)) if counts is not None else found.size
        pixels += int(np.count_nonzero(found))
        widths += [_widths(section) for section in found]
    voxels = np.asarray(cc3d.statistics(cc3d.connected_components(foreground, connectivity=26))["voxel_counts"])[1:]
    thickness = float(np.median(np.concatenate(widths))) if pixels else 0.0
    return CleftFacts(
        volume.label.info.location, annotated, pixels / annotated if annotated else 0.0,
        tuple(sorted(int(n) for n in voxels)), thickness, box.shape == volume.label.shape,
    )  # fmt: skip


def _widths(section: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Return how wide the foreground is, in pixels, along its middle line, where no neighbour is farther from an edge.

    Across a band of w pixels the distance to the nearest pixel outside is (w + 1) / 2 in the middle.
    """
    if section.all():  # there is no edge
        return np.full(1, max(section.shape), np.float32)
    inside = section.astype(np.uint8)
    distance = cv2.distanceTransform(inside, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    middle = section & (distance == cv2.dilate(distance, np.ones((3, 3), np.uint8)))
    return np.asarray(2 * distance[middle] - 1, np.float32)


def _read(volume: LabelledSource, box: Box) -> Iterator[tuple[slice, NDArray[np.bool_], NDArray[np.bool_] | None]]:
    """Yield some sections of a label at a time: where they lie in the box, what is foreground, what counts."""
    assert volume.label is not None
    for part in box.slabs(16):
        label = split_clefts(volume.label.read(part)[0], volume.label.info.layout)
        counts = label.annotated
        if volume.mask is not None:
            counts = mark_counting(counts, volume.mask.read(part)[0])
        found = label.foreground if counts is None else label.foreground & counts
        start = part.start[0] - box.start[0]
        yield slice(start, start + part.shape[0]), found, counts


def _middle(shape: ZYX) -> Box:
    """Return the whole volume, or, of a larger one, a box in its middle."""
    extent: Sequence[int] = shape
    while np.prod(extent) > MOST_VOXELS:
        longest = int(np.argmax(extent))
        extent = [n // 2 if axis == longest else n for axis, n in enumerate(extent)]
    return Box.at([(n - m) // 2 for n, m in zip(shape, extent, strict=True)], extent)
