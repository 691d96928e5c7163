"""The layout of a challenge file: its raw volume, its clefts, and the box that is labelled."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np

from connectomics.errors import VolumeError
from connectomics.geometry import ZYX, Box, Spacing
from connectomics.volumes.damage import told_as_damage
from connectomics.volumes.labels import split_clefts
from connectomics.volumes.links import is_there, open_file
from connectomics.volumes.read import open_volume, split_location
from connectomics.volumes.source import VolumeSource

RAW = "volumes/raw"
CLEFTS = "volumes/labels/clefts"

LABELLED_SHAPE: ZYX = (125, 1250, 1250)
PADDED_SHAPE: ZYX = (200, 3072, 3072)
PADDED_START: ZYX = (37, 911, 911)
"""Where the labelled box of a padded volume begins, as the `offset` of a training volume confirms."""


@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """A volume of the challenge."""

    raw: VolumeSource
    clefts: VolumeSource | None
    """The labels of the box; None in a test volume."""
    box: Box
    """The voxels of the raw volume that are labelled, or that a submission must label."""
    notes: tuple[str, ...] = ()
    """What was guessed when the file was opened, one line for each guess."""


def open_sample(location: str, box: Box | None = None, spacing_nm: Spacing | None = None) -> Sample:
    """Open a volume of the challenge, or any other image.

    Args:
        location: The file, or `file:/dataset` of its image.
        box: The voxels that are to be labelled; None takes those of the labels, of a padded test volume
            `LABELLED_SHAPE` voxels from `PADDED_START` on, and of any other volume all.
        spacing_nm: Voxel size along (z, y, x) where the file does not state it.

    Raises:
        VolumeError: If the file cannot be used: unreadable, no voxel size, labels of a type that cannot hold the
            background, or that do not lie within the raw.
    """
    raw = open_volume(location, "image", spacing_nm)
    if raw.info.spacing_nm is None:
        raise VolumeError(
            f"{raw.info.location} has no attribute `resolution`; state its voxel size: --resolution Z Y X (nm)"
        )
    if raw.info.channels != 1:
        raise VolumeError(f"{raw.info.location} has {raw.info.channels} channels; a raw volume has one")
    path, _ = split_location(location)
    if not _holds(path, CLEFTS):
        return Sample(raw, None, _inside(box or _usual_box(raw.shape), raw), _notes(raw))
    clefts = open_volume(f"{path}:/{CLEFTS}", "label", raw.info.spacing_nm)
    found = _labelled_box(str(path), raw, clefts)
    if box is not None and box != found:
        raise VolumeError(f"{clefts.info.location} covers {found}, --box says {box}; leave --box out")
    first = Box.sections(0, 1, clefts.shape)
    try:
        section = split_clefts(clefts.read(first)[0], "cremi")  # of a type that can hold the background
    except VolumeError as error:
        raise VolumeError(f"{clefts.info.location}: {error}") from error
    if section.foreground.all():
        raise VolumeError(
            f"{clefts.info.location}: all of its first section is a cleft; the background of challenge files is "
            "0xffffffffffffffff, and this holds none: is it an image, or another label?"
        )
    return Sample(raw, clefts, found, _notes(raw, clefts))


def _notes(*sources: VolumeSource) -> tuple[str, ...]:
    return tuple(f"{source.info.location}: {note}" for source in sources for note in source.info.notes)


def holds_raw(path: Path) -> bool:
    """Return whether there is a file with the raw of the challenge's layout."""
    return _holds(path, RAW)


def _holds(path: Path, dataset: str) -> bool:
    if not (path.is_file() and h5py.is_hdf5(path)):
        return False
    with open_file(path) as file, told_as_damage(f"{path} is damaged"):
        return is_there(file, dataset)


def _usual_box(shape: ZYX) -> Box:
    return Box.at(PADDED_START, LABELLED_SHAPE) if shape == PADDED_SHAPE else Box.whole(shape)


def _inside(box: Box, raw: VolumeSource) -> Box:
    if not box.lies_within(raw.shape) or not box.size:
        raise VolumeError(f"{raw.info.location} has shape {raw.shape}; the labelled {box} does not lie within it")
    return box


def _labelled_box(path: str, raw: VolumeSource, clefts: VolumeSource) -> Box:
    """Return which voxels of the raw the labels cover, by the attributes `offset`."""
    stated = "offset" in clefts.info.attributes
    if clefts.shape == raw.shape and not stated:
        return Box.whole(raw.shape)
    if not stated:
        raise VolumeError(
            f"{clefts.info.location} has shape {clefts.shape}, its raw {raw.shape}, and no attribute `offset` that "
            "says where the labels begin (nm); is the file whole?"
        )
    distance = np.subtract(clefts.info.offset_nm, raw.info.offset_nm) / np.array(raw.info.spacing_nm)
    start = np.rint(distance).astype(int)
    if not np.allclose(distance, start, atol=0.01):
        raise VolumeError(
            f"{clefts.info.location} lies {tuple(distance.tolist())} voxels from its raw by their attributes `offset`; "
            "that must be a whole number of voxels"
        )
    box = Box.at(start.tolist(), clefts.shape)
    if not box.lies_within(raw.shape):
        raise VolumeError(
            f"{clefts.info.location} covers voxels {box.start} to {box.stop} by its attribute `offset`, outside its "
            f"raw of {raw.shape}"
        )
    return box
