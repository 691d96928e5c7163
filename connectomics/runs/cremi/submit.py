"""`cremi.py submit`: from predictions to the files that the challenge reads."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import cc3d
import numpy as np
import numpy.typing as npt

from connectomics.alignment.shift_table import ShiftTable
from connectomics.config import load_tuned
from connectomics.config.decoding import DecodingConfig
from connectomics.cremi.layout import LABELLED_SHAPE, holds_raw, open_sample
from connectomics.cremi.prepared import Preparation
from connectomics.cremi.remote_files import official_name
from connectomics.cremi.submission import check_submission, write_submission
from connectomics.decoding import decode, in_voxels
from connectomics.errors import VolumeError
from connectomics.geometry import Box, Connectivity, Spacing
from connectomics.inference.saved import SAVED_TYPES
from connectomics.screen.console import say
from connectomics.volumes.attributes import read_attributes
from connectomics.volumes.chunk_layers import by_layers
from connectomics.volumes.read import is_there, open_volume, split_location
from connectomics.volumes.source import VolumeSource

CONNECTIVITY: Connectivity = 26
"""Voxels of a component share at least a corner."""

PROBABILITY = "probability times scale"
"""The attribute `content` of a prediction that test mode wrote."""

ROUNDING = 1e-5
"""How far beyond 0 and 1 a stored probability may lie."""


@dataclass(frozen=True, slots=True, eq=False)
class Predicted:
    """A prediction, and how to bring it back."""

    source: VolumeSource
    scale: float
    """What a probability of 1 is stored as."""
    plan: Preparation
    first: int
    """Index in the prepared volume of the first section of the prediction."""
    spacing_nm: Spacing

    def section(self, z: int) -> npt.NDArray[np.float32]:
        """Return the probabilities of section z of the prediction, (1, 1, Y, X)."""
        stored = self.source.read(Box.sections(z, z + 1, self.source.shape)).astype(np.float32)
        return stored if self.scale == 1 else stored / np.float32(self.scale)


def choose(tuned: Path | None, threshold: float | None, min_size: int | None) -> DecodingConfig:
    """Return how probabilities become clefts: as the command line says, else as tuning chose, else at 0.5.

    Raises:
        ConfigError: If `tuned` is no file of settings with `decoding.threshold`, or a value of it breaks a rule.
    """
    found = DecodingConfig() if tuned is None else load_tuned(tuned)
    return DecodingConfig(
        threshold=found.threshold if threshold is None else threshold,
        min_size=found.min_size if min_size is None else min_size,
        min_size_um3=found.min_size_um3 if min_size is None else 0.0,
    )


def submit(predictions: Sequence[Path], folder: Path, decoding: DecodingConfig, prepared: Path | None) -> None:
    """Write one file for each predicted volume, as the challenge reads it, and read it again.

    Probabilities become a mask, in which the neighbour of a bad section stands in for it, if that was predicted; its
    small components go, the others are numbered, and the sections are put back where they were imaged.

    Args:
        predictions: Files that test mode wrote.
        folder: Where the files go.
        decoding: Probability from which on a voxel is cleft, and least size of a component.
        prepared: Folder of the images that were predicted; None asks the predictions.

    Raises:
        UserError: If a prediction cannot be used, which is told before any file is written, or one cannot be written.
    """
    opened = [_open(path, prepared) for path in predictions]
    names = [official_name(one.plan.source) for one in opened]
    twice = [name for name in names if names.count(name) > 1]
    if twice:
        raise VolumeError(f"two predictions would both be handed in as {twice[0]}")
    for name in names:
        if holds_raw(folder / name):
            raise VolumeError(f"{folder / name} is there and holds a raw volume, not a submission; set another --out")
    for one, name in zip(opened, names, strict=True):
        path = folder / name
        own = in_voxels(decoding, one.spacing_nm)
        read_ids = _number(_decode(one, own), own)
        box = one.plan.box
        written = write_submission(path, one.plan.undo(read_ids), box.shape, one.spacing_nm)
        check_submission(path, written, one.spacing_nm)
        unlike = "" if box.shape == LABELLED_SHAPE else f"; note: a volume of the challenge has {LABELLED_SHAPE} voxels"
        say(f"{path}: {written.clefts} clefts in {written.shape} voxels, read again and found right{unlike}")


def _open(path: Path, prepared: Path | None) -> Predicted:
    """Open a prediction, and find how its image was made."""
    source = open_volume(str(path))
    scale = _scale(path, source)
    location = _image_of(path, prepared)
    image = open_volume(location, "image", source.info.spacing_nm)
    plan = _preparation(location, image)
    spacing = image.info.spacing_nm
    if spacing is None:
        raise VolumeError(f"neither {source.info.location} nor {image.info.location} states its voxel size")
    first, y, x = (
        round((a - b) / s) for a, b, s in zip(source.info.offset_nm, image.info.offset_nm, spacing, strict=True)
    )
    low, high = plan.box.start[0] - plan.origin[0], plan.box.stop[0] - plan.origin[0]
    whole_plane = (y, x) == (0, 0) and source.shape[1:] == image.shape[1:]
    last = first + source.shape[0]
    if not whole_plane or not 0 <= first <= low or not high <= last <= image.shape[0]:
        raise VolumeError(
            f"{source.info.location} begins at voxel {(first, y, x)} of {image.info.location}, whose sections {low} to "
            f"{high - 1} are to be labelled, and has shape {source.shape}; predict the whole image "
            "(test.data.test.crop=null)"
        )
    one = Predicted(by_layers(source, Box.whole(source.shape)), scale, plan, first, spacing)
    _require_probabilities(one)
    return one


def _scale(path: Path, source: VolumeSource) -> float:
    """Return what a probability of 1 is stored as; refuse a file that is, by its word or its type, no prediction."""
    info, stated = source.info, read_attributes(path)
    remedy = "give the file test_<image>_prediction.h5 that test mode wrote"
    content = str(stated.get("content", PROBABILITY))
    if content != PROBABILITY:
        raise VolumeError(f"{info.location} is no prediction of probabilities; it holds {content}: {remedy}")
    if info.channels != 1 or str(info.dtype) not in SAVED_TYPES:
        names = f" ({stated['channels']})" if "channels" in stated else ""
        raise VolumeError(
            f"{info.location} holds {info.channels} channel(s){names} of {info.dtype}; a prediction of "
            f"clefts has one, of float32, float16 or uint8: {remedy}"
        )
    if "scale" not in stated and info.dtype.kind == "u":
        raise VolumeError(
            f"{info.location} holds {info.dtype} without the attribute `scale`, what a probability of 1 is stored as: "
            f"a mask or ids, not a prediction; {remedy}"
        )
    scale = np.asarray(stated.get("scale", 1.0)).reshape(-1)
    if scale.size != 1 or scale.dtype.kind not in "iuf" or not 0 < float(scale[0]) < np.inf:
        raise VolumeError(f"{info.location} has the attribute `scale` {stated['scale']}; it is a number above 0")
    return float(scale[0])


def _require_probabilities(one: Predicted) -> None:
    """Refuse values that are not probabilities, such as ids or logits stored as floating point numbers."""
    if one.source.info.dtype.kind == "u" and one.scale >= np.iinfo(one.source.info.dtype).max:
        return
    for z in range(one.source.shape[0]):
        probability = one.section(z)
        low, high = float(probability.min()), float(probability.max())
        if not (low >= -ROUNDING and high <= 1 + ROUNDING):  # nan is neither
            raise VolumeError(
                f"{one.source.info.location} reaches from {low:g} to {high:g} in section {z}; probabilities lie "
                "between 0 and 1: give the file test_<image>_prediction.h5 that test mode wrote"
            )


def _image_of(path: Path, prepared: Path | None) -> str:
    """Return where the image of a prediction lies."""
    stated = read_attributes(path).get("image")
    if stated is None:
        raise VolumeError(f"{path} does not say which image it was made from; give a prediction that test mode wrote")
    file, dataset = split_location(str(stated))
    moved = file if prepared is None else prepared / file.name
    if not is_there(str(moved)):
        raise VolumeError(f"{path} was made from {moved}, which does not exist; --prepared DIR says where it lies")
    return str(moved) if dataset is None else f"{moved}:{dataset}"


def _preparation(location: str, image: VolumeSource) -> Preparation:
    """Return how an image was prepared; one that was not is as it was imaged."""
    path, _ = split_location(location)
    plan = Preparation.stored(read_attributes(path), image.shape) if path.suffix == ".h5" else None
    if plan is not None:
        return plan
    sample = open_sample(location, None, image.info.spacing_nm)
    return Preparation(ShiftTable.still(image.shape[0]), sample.box, (0, 0, 0), image.shape, path.name)


def _decode(one: Predicted, decoding: DecodingConfig) -> npt.NDArray[np.uint8]:
    """Return the mask on the grid of the prepared image; a bad section shows that of its stand-in, if there is one."""
    in_section = replace(decoding, min_size=0)  # the size of a component is that in all sections
    predicted = range(one.first, one.first + one.source.shape[0])
    mask = np.zeros(one.plan.shape, np.uint8)
    for z in range(len(mask)):
        # The image shows the stand-in at both places: where only one of them was predicted, that one counts.
        shown = one.plan.stand_in(z) if one.plan.stand_in(z) in predicted else z
        if shown in predicted:
            mask[z] = decode(one.section(shown - one.first), in_section)[0]
    return mask


def _number(mask: npt.NDArray[np.uint8], decoding: DecodingConfig) -> Callable[[int], npt.NDArray[np.uint32]]:
    """Return what gives the ids of the components in a section, (Y, X), 0 where there is none that is large enough."""
    ids, number = cc3d.connected_components(mask, connectivity=CONNECTIVITY, return_N=True)
    voxels = np.zeros(number + 1, np.int64)
    for section in ids:
        voxels += np.bincount(section.reshape(-1), minlength=number + 1)
    names = np.where(voxels >= decoding.min_size, np.arange(number + 1), 0).astype(np.uint32)
    return lambda z: names[ids[z]]
