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
from connectomics.volumes.chunks import CHUNK
from connectomics.volumes.labelled import place_on_grid
from connectomics.volumes.labels import mark_counting, read_label, require_label_type
from connectomics.volumes.read import open_volume
from connectomics.volumes.source import CroppedSource, VolumeSource
from connectomics.volumes.units import require_plausible

USUAL_THRESHOLD = 0.5

FULL_RANGES = {255: 128, 65535: 32768}
"""What a probability of 1 is often stored as, and the least maximum from which numbers look like that."""

ROUNDING = 1e-5
"""How far beyond 0 and 1 a probability may lie: where windows are blended in float32, 1 becomes 1.0000001."""


@dataclass(frozen=True, slots=True)
class Reading:
    """How files are to be read."""

    threshold: float | None = None
    """Probability from which on a voxel is predicted; None is 0.5 for probabilities, and nothing for masks and ids."""
    channel: int | None = None
    """Which channel of a prediction with several is scored, counted from 0."""
    spacing_nm: Spacing | None = None
    """Voxel size along (z, y, x) of files that do not state theirs."""
    needs_sides: bool = False
    """Whether the ids must tell the two sides of synapses apart."""
    scale: float | None = None
    """What a probability of 1 is stored as, in files that do not state it."""


@dataclass(frozen=True, slots=True, eq=False)
class PairedFiles:
    """A prediction beside its label, and what was guessed on the way."""

    pair: LabelPair
    notes: tuple[str, ...]
    """What was guessed, one line for each guess."""


def pair_files(prediction: str, label: str, mask: str | None, reading: Reading) -> PairedFiles:
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
    opened = [found, truth] if mask is None else [found, truth, open_volume(mask, "mask")]
    notes = [f"{source.info.location}: {note}" for source in opened for note in source.info.notes]
    spacing = _agree(found, truth, reading.spacing_nm)
    for source in (found, truth):
        source.info = replace(source.info, spacing_nm=spacing)
    truth = _fit(truth, found)
    require_label_type(truth)
    annotation = read_label(truth)
    annotated = annotation.annotated
    if mask is not None:
        marked = opened[2]
        marked.info = replace(marked.info, spacing_nm=marked.info.spacing_nm and spacing)
        annotated = mark_counting(annotated, _fit(marked, found).read_all()[0])
    predicted = _read_predicted(found, reading, annotated, notes)
    if reading.needs_sides:
        _require_sides(found, predicted)
        _require_sides(truth, annotation.ids)
    return PairedFiles(LabelPair(predicted, annotation.ids, spacing, annotated, reading.needs_sides), tuple(notes))


def _agree(found: VolumeSource, truth: VolumeSource, stated: Spacing | None) -> Spacing:
    """Return the voxel size of both files."""
    if stated is not None:
        require_plausible(stated, "--resolution gives")
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


def _read_predicted(
    found: VolumeSource, reading: Reading, annotated: npt.NDArray[np.bool_] | None, notes: list[str]
) -> npt.NDArray:
    """Return what is predicted: a mask of probabilities, else ids; what is guessed is added to `notes`."""
    scale = _scale(found, reading)
    if found.info.dtype.kind != "f" and scale is None:
        if reading.threshold is not None:
            raise VolumeError(
                f"{found.info.location} holds {found.info.dtype}: a mask or ids, to which --threshold does not apply; "
                "probabilities stored as whole numbers have an attribute `scale`, what a 1 is stored as, or --scale"
            )
        ids = _only_channel(found, reading)
        require_label_type(ids)
        predicted = read_label(ids, is_truth=False).ids
        notes += _tell_ids(found, predicted)
        return predicted
    threshold = np.float32(USUAL_THRESHOLD if reading.threshold is None else reading.threshold)
    mask = np.zeros(found.shape, np.bool_)
    for box, probability in _probabilities(found, scale or 1.0, reading, annotated):
        mask[box.slices] = probability >= threshold
    return mask


def _tell_ids(found: VolumeSource, ids: npt.NDArray) -> list[str]:
    """Return how whole numbers were taken; a range like that of probabilities in whole numbers is told as such."""
    if found.info.dtype.kind == "b" or found.info.layout == "cremi":
        return []
    low, high = (int(ids[ids != 0].min()), int(ids.max())) if ids.any() else (0, 0)
    kind = "ids" if low < high else "a mask"
    note = f"{found.info.location}: {found.info.dtype} from 0 to {high} without an attribute `scale`, taken as {kind}"
    full = next((full for full, least in FULL_RANGES.items() if least <= high <= full), None)
    return [note if full is None or kind == "a mask" else f"{note}; if these are probabilities, give --scale {full}"]


def _require_sides(source: VolumeSource, ids: npt.NDArray) -> None:
    """Refuse a mask, which has one id, and ids of a layout that has no sides; an empty volume may be either."""
    there = ids[ids != 0]
    if source.info.layout != "main" or (there.size and there.min() == there.max()):
        raise VolumeError(
            f"{source.info.location} holds clefts, not the two sides of synapses; what compares sides needs ids, "
            "2k - 1 for the pre- and 2k for the post-synaptic side of synapse k"
        )


def _probabilities(
    found: VolumeSource, scale: float, reading: Reading, annotated: npt.NDArray[np.bool_] | None
) -> Iterator[tuple[Box, npt.NDArray[np.float32]]]:
    """Yield boxes and the probabilities in them; voxels that do not count may hold anything, and become 0."""
    channel = _channel(found, reading)
    for box in Box.whole(found.shape).slabs(CHUNK[0]):
        probability = found.read(box)[channel].astype(np.float32)
        if annotated is not None:
            probability[~annotated[box.slices]] = 0
        if scale != 1:
            probability /= np.float32(scale)
        low, high = float(probability.min()), float(probability.max())
        if not (low >= -ROUNDING and high <= 1 + ROUNDING):  # nan is neither
            full = next((full for full in FULL_RANGES if low >= 0 and 1 < high <= full and scale == 1), None)
            hint = "" if full is None else f"; where a 1 is stored as {full}, give --scale {full}"
            raise VolumeError(
                f"{found.info.location} reaches from {low:g} to {high:g}; probabilities lie between 0 and 1{hint}"
            )
        yield box, probability


def _scale(found: VolumeSource, reading: Reading) -> float | None:
    """Return what a probability of 1 is stored as, where the file or the command line says so; they must agree."""
    value = found.info.attributes.get("scale")
    try:
        stated = None if value is None else float(np.asarray(value).item())
    except (TypeError, ValueError):
        stated = None  # of another kind, such as the voxel size of some exports
    if stated is not None and not 0 < stated < float("inf"):
        raise VolumeError(f"{found.info.location}: its attribute `scale` is {stated:g}; a 1 is stored as more than 0")
    if stated is not None and reading.scale is not None and stated != reading.scale:
        raise VolumeError(
            f"{found.info.location} states that a 1 is stored as {stated:g}, --scale says {reading.scale:g}"
        )
    return reading.scale if stated is None else stated


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
