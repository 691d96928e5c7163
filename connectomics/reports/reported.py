"""Write one volume into a page; its image and probabilities are read once, section by section."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from connectomics.drawing.figures import to_gray
from connectomics.geometry import Box
from connectomics.metrics.judged import Judged
from connectomics.reports.listed import KINDS, OutlinedPair, outline_pair
from connectomics.reports.outlines import UNITS, trace
from connectomics.reports.pictures import PictureSize, encode_gray, encode_probability
from connectomics.reports.templates import dump_json
from connectomics.reports.thresholds import COARSE, Curves, ThresholdSweep
from connectomics.volumes.chunks import CHUNK
from connectomics.volumes.intensity import IntensityRange
from connectomics.volumes.source import VolumeSource

SLAB_BYTES = 128 * 2**20
"""Bytes of voxels that are read at a time: several sections, since a chunk of a file holds several."""

MAX_LISTED = 20_000
"""How many objects a page lists per volume, largest first."""


@dataclass(frozen=True, slots=True, eq=False)
class ReportedVolume:
    """What a page shows of a volume; all of it lies on the grid of `image`."""

    name: str
    image: VolumeSource
    intensity: IntensityRange
    judged: Judged
    """The objects, as the scores and the tables have them."""
    probability: VolumeSource | None = None
    scale: float = 1.0
    """What a probability of 1 is stored as."""
    foreground: Callable[[NDArray[np.float32]], NDArray[np.float32]] = lambda probability: probability[0]
    """Maps (C, Z, Y, X) to the probability that a voxel belongs to any object, (Z, Y, X)."""


@dataclass(frozen=True, slots=True, eq=False)
class WrittenVolume:
    """What a page says of a volume beside its pictures."""

    entry: dict[str, Any]
    """Name, shape, voxel size, counts and objects, ready for JSON."""
    curves: Curves | None
    """Scores over the threshold; None without probabilities, or without a label."""


@dataclass(frozen=True, slots=True, eq=False)
class _Slab:
    """Some sections, (Z, Y, X) each."""

    box: Box
    gray: NDArray[np.uint8]
    probability: NDArray[np.float32] | None


def write_volume_data(
    page: IO[str], number: int, volume: ReportedVolume, size: PictureSize, threshold: float
) -> WrittenVolume:
    """Write the pictures and outlines of a volume into a page, as elements that are not drawn until they are asked for.

    Args:
        page: The page that they are written to.
        number: Number of the volume, from 0; part of the elements' ids.
        volume: What is shown.
        size: How far sections are scaled down.
        threshold: Threshold of the mask; the scores at it are among the curves.

    Raises:
        VolumeError: If a file cannot be read.
    """
    judged = volume.judged
    pair, truth = judged.pair, judged.pair.masks.truth
    sweep, sums = ThresholdSweep((*COARSE, threshold)), np.zeros(len(judged.both.predicted) + 1)
    for slab in _slabs(volume):
        here = slab.box.slices
        counts = None if pair.annotated is None else pair.annotated[here]
        if slab.probability is not None:
            if judged.outcomes is not None:
                sweep.add(slab.probability, truth[here], counts)
            sums += _sum_of_each(judged.both.predicted_ids[here], slab.probability, len(sums))
        for i in range(len(slab.gray)):
            excluded = None if counts is None else ~counts[i]
            _write_json(page, f"pictures-{number}-{slab.box.start[0] + i}", _pictures(slab, i, excluded, size))
    outlined = outline_pair(judged)
    for z in range(volume.image.shape[0]):
        _write_json(page, f"outlines-{number}-{z}", _drawn(outlined, z, pair.sided))
    has_probability = volume.probability is not None
    means = sums[1:] / judged.both.predicted.voxels if has_probability else None
    swept = has_probability and judged.outcomes is not None
    return WrittenVolume(_entry(volume, outlined, means), sweep.curves() if swept else None)


def _write_json(page: IO[str], name: str, value: Any) -> None:
    page.write(f'<script type="application/json" id="{name}">{dump_json(value)}</script>\n')


def _drawn(outlined: OutlinedPair, z: int, sided: bool) -> dict[str, Any]:
    """Return what is drawn over one section: each outline as kind, id and path, and part where objects have some."""
    outlines = [
        (KINDS.index(kind), number, one.path, *([one.part] if sided else []))
        for kind, number, one in outlined.section(z)
    ]
    drawn: dict[str, Any] = {"outlines": outlines, "left_out": outlined.left_out(z)}
    if sided:
        drawn["arrows"] = [(KINDS.index(kind), number, one.path) for kind, number, one in outlined.arrows(z)]
    return drawn


def _slabs(volume: ReportedVolume) -> Iterator[_Slab]:
    _, y, x = volume.image.shape
    deep = max(1, min(CHUNK[0], SLAB_BYTES // (8 * y * x)))
    for box in Box.whole(volume.image.shape).slabs(deep):
        probability = None
        if volume.probability is not None:
            saved = volume.probability.read(box).astype(np.float32) / np.float32(volume.scale)
            probability = volume.foreground(saved)
        yield _Slab(box, to_gray(volume.intensity.scale(volume.image.read(box)[0])), probability)


def _sum_of_each(
    ids: NDArray[np.unsignedinteger], probability: NDArray[np.float32], number: int
) -> NDArray[np.float64]:
    """Return the sum of the probabilities of each object over some sections, by its id, (number,)."""
    places = np.flatnonzero(ids)
    sums = np.bincount(ids.reshape(-1)[places], probability.reshape(-1)[places], minlength=number)
    return np.asarray(sums, np.float64)


def _pictures(slab: _Slab, i: int, excluded: NDArray[np.bool_] | None, size: PictureSize) -> dict[str, str]:
    """Return the pictures of one section, and the border of what does not count there."""
    pictures = {"raw": encode_gray(slab.gray[i], size)}
    if slab.probability is not None:
        pictures["probability"] = encode_probability(slab.probability[i], size)
    if excluded is not None:
        pictures["excluded"] = trace(excluded)
    return pictures


def _entry(volume: ReportedVolume, outlined: OutlinedPair, means: NDArray[np.float64] | None) -> dict[str, Any]:
    judged = volume.judged
    listed = outlined.list(means)
    return {
        "name": volume.name,
        "shape": volume.image.shape,
        "spacing_nm": judged.pair.spacing_nm,
        "units": UNITS,
        "has_probability": volume.probability is not None,
        "predicted": len(judged.both.predicted),
        "detection": None if judged.outcomes is None else judged.to_json(),
        "turned": int(np.count_nonzero(judged.turned)),
        "cut": len(listed) > MAX_LISTED,
        "objects": [asdict(one) for one in listed[:MAX_LISTED]],
    }
