"""A prediction that any tool made, and its label, on one grid."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from connectomics.errors import VolumeError
from connectomics.geometry import Box, Spacing
from connectomics.metrics import LabelPair
from connectomics.metrics.pair import require_same_spacing
from connectomics.volumes.attributes import read_attributes
from connectomics.volumes.chunks import CHUNK
from connectomics.volumes.labelled import place_on_grid
from connectomics.volumes.labels import read_label, require_label_type
from connectomics.volumes.read import open_volume, split_location
from connectomics.volumes.source import CroppedSource, VolumeSource

USUAL_THRESHOLD = 0.5

ROUNDING = 1e-5
"""How far beyond 0 and 1 a probability may lie: where windows are blended in float32, 1 becomes 1.0000001."""


@dataclass(frozen=True, slots=True)
class Reading:
    """How files are to be read."""

    threshold: float | None = None
    """From which probability on a voxel is predicted; None is 0.5 for probabilities, and nothing for masks and ids."""
    channel: int | None = None
    """Which channel of a prediction with several is scored, from 0."""
    spacing_nm: Spacing | None = None
    """Voxel size along (z, y, x) of files that do not state theirs."""
    needs_sides: bool = False
    """Whether the ids must tell the two sides of synapses apart."""


def pair_files(prediction: str, label: str, mask: str | None, reading: Reading) -> LabelPair:
    """Read a prediction and its label.

    Args:
        prediction: Probabilities, a mask, or ids.
        label: Ids; that of a larger volume is cut to the prediction, where both say where they lie.
        mask: Voxels that count are not 0, on the grid of the prediction; None when all of them do.
        reading: How.

    Raises:
        VolumeError: If a file cannot be used, or they do not lie on one grid.
    """
    found, truth = open_volume(prediction, "label"), open_volume(label, "label")
    spacing = _agree(found, truth, reading.spacing_nm)
    for source in (found, truth):
        source.info = replace(source.info, spacing_nm=spacing)
    truth = _fit(truth, found)
    require_label_type(truth)
    annotation = read_label(truth)
    annotated = annotation.annotated
    if mask is not None:
        marked = open_volume(mask, "mask")
        marked.info = replace(marked.info, spacing_nm=marked.info.spacing_nm and spacing)
        drawn = _fit(marked, found).read_all()[0] != 0
        annotated = drawn if annotated is None else annotated & drawn
    predicted = _read_predicted(found, reading)
    if reading.needs_sides:
        _require_sides(found, predicted)
        _require_sides(truth, annotation.ids)
    return LabelPair(predicted, annotation.ids, spacing, annotated)


def _agree(found: VolumeSource, truth: VolumeSource, stated: Spacing | None) -> Spacing:
    """Return the voxel size of both files."""
    sizes = [found.info.spacing_nm or stated, truth.info.spacing_nm or stated]
    known = [size for size in sizes if size is not None]
    if not known:
        raise VolumeError(
            f"neither {found.info.location} nor {truth.info.location} states its voxel size; give --resolution Z Y X"
        )
    for size in (*known, stated or known[0]):
        require_same_spacing(size, known[-1])
    return known[-1]


def _fit(other: VolumeSource, found: VolumeSource) -> VolumeSource:
    """Return a label or mask on the grid of the prediction: cut to it, where it says that it is a part."""
    spacing = found.info.spacing_nm
    assert spacing is not None
    start = np.subtract(found.info.offset_nm, other.info.offset_nm) / spacing
    z, y, x = (round(float(s)) for s in start)
    box = Box.at((z, y, x), found.shape)
    whole = np.allclose(start, (z, y, x), atol=0.01) and (z, y, x) != (0, 0, 0)
    if other.shape != found.shape and whole and box.lies_within(other.shape):
        return CroppedSource(other, box)
    return place_on_grid(other, found, "prediction")


def _read_predicted(found: VolumeSource, reading: Reading) -> npt.NDArray:
    """Return what is predicted: a mask of probabilities, else ids."""
    scale = _scale(found)
    if found.info.dtype.kind != "f" and scale is None:
        if reading.threshold is not None:
            raise VolumeError(
                f"{found.info.location} holds {found.info.dtype}: a mask or ids, to which --threshold does not apply; "
                "probabilities stored as whole numbers have an attribute `scale`, what a 1 is stored as"
            )
        ids = _only_channel(found, reading)
        require_label_type(ids)
        return read_label(ids).ids
    threshold = np.float32(USUAL_THRESHOLD if reading.threshold is None else reading.threshold)
    mask = np.zeros(found.shape, np.bool_)
    for box, probability in _probabilities(found, scale or 1.0, reading):
        mask[box.slices] = probability >= threshold
    return mask


def _require_sides(source: VolumeSource, ids: npt.NDArray) -> None:
    """Refuse a mask, which has one id, and ids of a layout that has no sides; an empty volume may be either."""
    there = ids[ids != 0]
    if source.info.layout != "main" or (there.size and there.min() == there.max()):
        raise VolumeError(
            f"{source.info.location} holds clefts, not the two sides of synapses; what compares sides needs ids, "
            "2k - 1 for the pre- and 2k for the post-synaptic side of synapse k"
        )


def _probabilities(
    found: VolumeSource, scale: float, reading: Reading
) -> Iterator[tuple[Box, npt.NDArray[np.float32]]]:
    """Yield boxes and the probabilities in them."""
    channel = _channel(found, reading)
    for z in range(0, found.shape[0], CHUNK[0]):
        box = Box((z, 0, 0), (min(z + CHUNK[0], found.shape[0]), *found.shape[1:]))
        probability = found.read(box)[channel].astype(np.float32)
        if scale != 1:
            probability /= np.float32(scale)
        low, high = float(probability.min()), float(probability.max())
        if not (low >= -ROUNDING and high <= 1 + ROUNDING):  # nan is neither
            raise VolumeError(
                f"{found.info.location} reaches from {low:g} to {high:g}; probabilities lie between 0 and 1"
            )
        yield box, probability


def _scale(found: VolumeSource) -> float | None:
    """Return what a probability of 1 is stored as, where the file says so."""
    path = split_location(found.info.location)[0]
    if not found.info.location.endswith(":/main"):
        return None
    value = read_attributes(path).get("scale")
    return None if value is None else float(value)


def _channel(found: VolumeSource, reading: Reading) -> int:
    channels = found.info.channels
    if reading.channel is None and channels > 1:
        raise VolumeError(f"{found.info.location} has {channels} channels; name one with --channel 0 to {channels - 1}")
    if (reading.channel or 0) not in range(channels):
        raise VolumeError(f"{found.info.location} has {channels} channel(s); there is no channel {reading.channel}")
    return reading.channel or 0


def _only_channel(found: VolumeSource, reading: Reading) -> VolumeSource:
    if found.info.channels > 1:
        raise VolumeError(
            f"{found.info.location} has {found.info.channels} channels of {found.info.dtype}; a mask, or ids, has one"
        )
    _channel(found, reading)
    return found
