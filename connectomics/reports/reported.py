"""Write one volume into a page; it is read once, section by section."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from connectomics.drawing.figures import to_gray
from connectomics.geometry import ZYX, Box, Spacing
from connectomics.metrics import MaskPair
from connectomics.metrics.label_pair import Labels
from connectomics.metrics.matching import MatchRule
from connectomics.reports.mistakes import KINDS, Comparison, compare_objects, compare_sides
from connectomics.reports.outlines import UNITS, trace
from connectomics.reports.pictures import PictureSize, encode_gray, encode_probability
from connectomics.reports.templates import dump_json
from connectomics.reports.thresholds import COARSE, Curves, ThresholdSweep
from connectomics.volumes.chunks import CHUNK
from connectomics.volumes.intensity import IntensityRange
from connectomics.volumes.labels import label_ids
from connectomics.volumes.source import VolumeSource

SLAB_BYTES = 128 * 2**20
"""Bytes of voxels that are read at a time: several sections, since a chunk of a file holds several."""

MAX_LISTED = 1000
"""How many mistakes a page lists per volume, largest first."""


@dataclass(frozen=True, slots=True, eq=False)
class ReportedVolume:
    """What a page shows of a volume; all sources lie on the grid of `image`."""

    name: str
    image: VolumeSource
    intensity: IntensityRange
    predicted: VolumeSource
    """What was found: voxels that are not 0."""
    label: VolumeSource
    annotated: VolumeSource | None = None
    """Mask of the voxels that count, not 0; None if all of them do."""
    probability: VolumeSource | None = None
    scale: float = 1.0
    """What a probability of 1 is stored as."""
    foreground: Callable[[NDArray[np.float32]], NDArray[np.float32]] = lambda probability: probability[0]
    """Maps (C, Z, Y, X) to the probability that a voxel belongs to any object, (Z, Y, X)."""


@dataclass(frozen=True, slots=True, eq=False)
class WrittenVolume:
    """What a page says of a volume beside its pictures."""

    entry: dict[str, Any]
    """Name, shape, voxel size, counts and mistakes, ready for JSON."""
    curves: Curves | None
    """Scores over the threshold; None without probabilities."""


@dataclass(frozen=True, slots=True, eq=False)
class _Slab:
    """Some sections, (Z, Y, X) each; what does not count is background."""

    z: int
    gray: NDArray[np.uint8]
    predicted: NDArray
    """The predicted foreground, bool, or ids."""
    truth: NDArray
    counts: NDArray[np.bool_] | None
    probability: NDArray[np.float32] | None


def write_volume_data(
    page: IO[str],
    number: int,
    volume: ReportedVolume,
    size: PictureSize,
    threshold: float,
    rule: MatchRule,
    classes: Sequence[str] = (),
) -> WrittenVolume:
    """Write the pictures and outlines of a volume into a page, as elements that are not drawn until they are asked for.

    Args:
        page: The page that they are written to.
        number: Number of the volume, from 0; part of the elements' ids.
        volume: What is shown.
        size: How far sections are scaled down.
        threshold: Threshold of the mask; the scores at it are among the curves.
        rule: When two components are the same synapse.
        classes: Names of the parts of an object, where ids tell them apart: object k of n parts has the ids
            n (k - 1) + 1 to n k. Empty where objects are the components of what is not 0.

    Raises:
        VolumeError: If a file cannot be read.
    """
    dtype = np.uint64 if classes else np.bool_
    predicted: Labels = np.zeros(volume.image.shape, dtype)
    truth: Labels = np.zeros(volume.image.shape, dtype)
    sweep = ThresholdSweep((*COARSE, threshold))
    for slab in _slabs(volume, dtype):
        here = slice(slab.z, slab.z + len(slab.gray))
        predicted[here], truth[here] = slab.predicted, slab.truth
        if slab.probability is not None:
            sweep.add(slab.probability, slab.truth != 0, slab.counts)
        for i in range(len(slab.gray)):
            _write_json(page, f"pictures-{number}-{slab.z + i}", _pictures(slab, i, size))
    spacing = volume.image.info.spacing_nm or (1.0, 1.0, 1.0)
    compared = _compare(predicted, truth, spacing, rule, parted=bool(classes))
    for z in range(volume.image.shape[0]):
        _write_json(page, f"outlines-{number}-{z}", _drawn(compared, z, parted=bool(classes)))
    entry = _entry(volume.name, volume.image.shape, spacing, compared, volume.probability is not None)
    return WrittenVolume(entry, sweep.curves() if volume.probability is not None else None)


def _write_json(page: IO[str], name: str, value: Any) -> None:
    page.write(f'<script type="application/json" id="{name}">{dump_json(value)}</script>\n')


def _compare(predicted: NDArray, truth: NDArray, spacing: Spacing, rule: MatchRule, parted: bool) -> Comparison:
    """Compare objects: by their ids where they consist of parts, otherwise as components of the foreground."""
    if parted:
        return compare_sides(predicted, truth, spacing, rule)
    return compare_objects(MaskPair(predicted, truth, spacing), rule)


def _drawn(compared: Comparison, z: int, parted: bool) -> dict[str, Any]:
    """Return what is drawn over one section: each outline as kind, id and path, and part where objects have some."""
    outlines = [
        (KINDS.index(kind), one.id, one.path, *([one.part] if parted else [])) for kind, one in compared.section(z)
    ]
    drawn: dict[str, Any] = {"outlines": outlines, "left_out": compared.left_out(z)}
    if parted:
        drawn["arrows"] = [(KINDS.index(kind), one.id, one.path) for kind, one in compared.arrows(z)]
    return drawn


def _slabs(volume: ReportedVolume, dtype: type[np.generic]) -> Iterator[_Slab]:
    _, y, x = volume.image.shape
    deep = max(1, min(CHUNK[0], SLAB_BYTES // (8 * y * x)))
    for box in Box.whole(volume.image.shape).slabs(deep):
        label = label_ids(volume.label.read(box)[0], volume.label.info.layout)
        counts = label.annotated
        if volume.annotated is not None:
            drawn = volume.annotated.read(box)[0] != 0
            counts = drawn if counts is None else counts & drawn
        predicted, truth = volume.predicted.read(box)[0].astype(dtype), label.ids.astype(dtype)
        if counts is not None:
            predicted, truth = predicted * counts, truth * counts
        probability = None
        if volume.probability is not None:
            saved = volume.probability.read(box).astype(np.float32) / np.float32(volume.scale)
            probability = volume.foreground(saved)
        gray = to_gray(volume.intensity.scale(volume.image.read(box)[0]))
        yield _Slab(box.start[0], gray, predicted, truth, counts, probability)


def _pictures(slab: _Slab, i: int, size: PictureSize) -> dict[str, str]:
    """Return the pictures of one section, and the border of what does not count there."""
    pictures = {"raw": encode_gray(slab.gray[i], size)}
    if slab.probability is not None:
        pictures["probability"] = encode_probability(slab.probability[i], size)
    if slab.counts is not None:
        pictures["excluded"] = trace(~slab.counts[i])
    return pictures


def _entry(name: str, shape: ZYX, spacing: tuple[float, ...], compared: Comparison, probable: bool) -> dict[str, Any]:
    return {
        "name": name,
        "shape": shape,
        "spacing_nm": spacing,
        "units": UNITS,
        "has_probability": probable,
        "found": compared.count("found") + compared.count("turned"),
        "missed": compared.count("missed"),
        "invented": compared.count("invented"),
        "turned": compared.count("turned"),
        "mistakes": [asdict(mistake) for mistake in compared.mistakes[:MAX_LISTED]],
    }
