"""The saved part of a prediction and its type; a killed prediction resumes from what was saved."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from connectomics.errors import PredictionError
from connectomics.geometry import ZYX, Box
from connectomics.inference.plan import InferencePlan
from connectomics.inference.predict import OnNotice, OnProgress, predict_volume
from connectomics.inference.rows import Lane
from connectomics.volumes.intensity import IntensityRange
from connectomics.volumes.pieces import Pieces
from connectomics.volumes.sections import Sections
from connectomics.volumes.source import VolumeSource
from connectomics.volumes.stage import StagedVolume


@dataclass(frozen=True, slots=True)
class SavedType:
    """How numbers lie in the file."""

    dtype: np.dtype
    scale: float
    """What a probability of 1 is stored as; the attribute `scale` of the dataset."""

    def store(self, voxels: npt.NDArray[np.float32]) -> npt.NDArray:
        """Return predictions in the type that is saved.

        Raises:
            PredictionError: If the type does not reach as far.
        """
        if self.dtype == np.float32:
            return voxels
        largest = float(np.iinfo(self.dtype).max if self.dtype.kind == "u" else np.finfo(self.dtype).max)
        scaled = np.rint(voxels * np.float32(self.scale)) if self.dtype.kind == "u" else voxels
        low, high = float(scaled.min()), float(scaled.max())
        if low < (0 if self.dtype.kind == "u" else -largest) or high > largest:
            raise PredictionError(
                f"the prediction reaches from {low / self.scale:g} to {high / self.scale:g}, "
                f"too far for inference.save_dtype={self.dtype}; set it to float32"
            )
        return scaled.astype(self.dtype)

    def restore(self, stored: npt.NDArray) -> npt.NDArray[np.float32]:
        """Return what was saved as predictions."""
        if self.dtype == np.float32:
            return stored
        return stored.astype(np.float32) / np.float32(self.scale)


SAVED_TYPES: Mapping[str, SavedType] = {
    "float32": SavedType(np.dtype(np.float32), 1.0),
    "float16": SavedType(np.dtype(np.float16), 1.0),
    "uint8": SavedType(np.dtype(np.uint8), 255.0),
}
"""`inference.save_dtype` to how numbers are stored in the file."""


def predict_into(
    stage: StagedVolume,
    saved: SavedType,
    image: VolumeSource,
    intensity: IntensityRange,
    plan: InferencePlan,
    lanes: Sequence[Lane],
    on_progress: OnProgress = lambda done, total: None,
    on_notice: OnNotice = lambda sentence: None,
    part: Box | None = None,
) -> Iterator[Sections]:
    """Predict a volume, or a part of it, into `stage`; what is there already is not computed again.

    Args:
        stage: The file in the making, entered, with blocks of `plan.block`.
        saved: The type that it is made of.
        image: This and the next five are the arguments of `predict_volume`.
        part: The box of the image that the file holds, predicted as in the whole; None is all of it.

    Returns:
        Every section, in order, counted from where the part begins, with exactly the values that are saved: a mask made
        of them is the mask of the file.

    Raises:
        VolumeError: If the image cannot be read, or the disk takes no more.
        PredictionError: If the network gives what is no finite number, or the type does not reach as far.
    """
    if stage.is_finished:
        for stored in stage.sections():
            yield replace(stored, voxels=saved.restore(stored.voxels))
        return
    origin, rest = (part or Box.whole(image.shape)).start, list(stage.remaining)
    fresh = predict_volume(image, intensity, plan, lanes, on_progress, on_notice, [box.moved(origin) for box in rest])
    with closing(fresh):
        for block, missing in stage.progress():
            for stored in stage.pieces.of(block):
                if stored.z < missing.start[0]:
                    yield replace(stored, voxels=saved.restore(stored.voxels))
            for stored in _as_saved(fresh, saved, origin, missing):
                stage.write(stored)
                yield replace(stored, voxels=saved.restore(stored.voxels))


def predict_block(
    pieces: Pieces,
    saved: SavedType,
    image: VolumeSource,
    intensity: IntensityRange,
    plan: InferencePlan,
    lanes: Sequence[Lane],
    missing: Box,
    part: Box | None = None,
    on_progress: OnProgress = lambda done, total: None,
    on_notice: OnNotice = lambda sentence: None,
) -> None:
    """Predict what is missing of a block, as in the whole volume, into the pieces that several processes make.

    Args:
        pieces: Where it goes.
        saved: This and the next ones are the arguments of `predict_into`.
        missing: A box of the file, as `Pieces.claim` gives it.
    """
    origin = (part or Box.whole(image.shape)).start
    region = [missing.moved(origin)]
    with closing(predict_volume(image, intensity, plan, lanes, on_progress, on_notice, region)) as fresh:
        for stored in _as_saved(fresh, saved, origin, missing):
            pieces.write(stored)


def _as_saved(fresh: Iterator[Sections], saved: SavedType, origin: ZYX, missing: Box) -> Iterator[Sections]:
    """Take the next sections of a prediction until a box is full; yield them as they are saved, from its file's corner.

    Args:
        fresh: Sections of the volume that is predicted.
        saved: The type that they are saved in.
        origin: Where in it the file begins.
        missing: The box, counted from there.
    """
    z, y, x = origin
    at = missing.start[0] if missing.size else missing.stop[0]
    while at < missing.stop[0]:
        sections = next(fresh)
        corner = sections.corner[0] - y, sections.corner[1] - x
        yield Sections(sections.z - z, saved.store(sections.voxels), corner)
        at = sections.box.stop[0] - z
