"""What the challenge reads: one file for each test volume, its clefts as connected components."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
from numpy.typing import NDArray

from connectomics.cremi.layout import CLEFTS
from connectomics.errors import VolumeError
from connectomics.files import write_whole
from connectomics.geometry import ZYX, Box, Spacing
from connectomics.volumes.chunk_layers import by_layers
from connectomics.volumes.labels import CREMI_BACKGROUND, split_clefts
from connectomics.volumes.read import open_volume

FILE_FORMAT = "0.2"


@dataclass(frozen=True, slots=True)
class Submitted:
    """What a submission holds."""

    shape: ZYX
    clefts: int
    """How many different ids there are."""
    voxels: int
    """How many voxels lie in clefts."""


def write_submission(
    path: Path, sections: Iterable[NDArray[np.unsignedinteger]], shape: ZYX, spacing_nm: Spacing
) -> Submitted:
    """Write a file as the challenge reads it; it appears under its name when it is whole.

    Args:
        path: The file to write.
        sections: Ids of the labelled box, section by section, (Y, X), 0 for the background.
        shape: Extent of the box, in voxels.
        spacing_nm: Voxel size along (z, y, x), in nanometres.

    Raises:
        VolumeError: If it cannot be written.
    """
    ids: set[int] = set()
    voxels = 0
    with write_whole(path, VolumeError) as partial, h5py.File(partial, "w") as file:
        file.attrs["file_format"] = FILE_FORMAT
        chunk = tuple(min(n, most) for n, most in zip(shape, (1, 625, 625), strict=True))
        clefts = file.create_dataset(CLEFTS, shape, np.uint64, chunks=chunk, compression="gzip")
        clefts.attrs["resolution"] = np.array(spacing_nm, np.float64)
        for z, section in enumerate(sections):
            found, counts = np.unique(section[section > 0], return_counts=True)
            ids.update(found.tolist())
            voxels += int(counts.sum())
            clefts[z] = np.where(section == 0, np.uint64(CREMI_BACKGROUND), section.astype(np.uint64))
    return Submitted(shape, len(ids), voxels)


def check_submission(path: Path, wanted: Submitted, spacing_nm: Spacing) -> None:
    """Read a file as the challenge does, and make sure that it says what is wanted.

    Raises:
        VolumeError: With the first thing that differs.
    """
    with h5py.File(path, "r") as file:
        found = str(file.attrs.get("file_format"))
        stated = dict(file[CLEFTS].attrs) if CLEFTS in file else {}
    opened = open_volume(f"{path}:/{CLEFTS}", "label")
    clefts = by_layers(opened, Box.whole(opened.shape))
    facts: dict[str, tuple[object, object]] = {
        "file_format": (found, FILE_FORMAT),
        "shape": (clefts.shape, wanted.shape),
        "type": (str(clefts.info.dtype), "uint64"),
        "resolution": (clefts.info.spacing_nm, tuple(spacing_nm)),
        "offset": ("offset" in stated, False),
    }
    ids: set[int] = set()
    voxels = 0
    for z in range(clefts.shape[0]):
        section = clefts.read(Box.sections(z, z + 1, clefts.shape))[0, 0]
        foreground = split_clefts(section, "cremi").foreground
        ids.update(np.unique(section[foreground]).tolist())
        voxels += int(foreground.sum())
    facts |= {"clefts": (len(ids), wanted.clefts), "cleft voxels": (voxels, wanted.voxels)}
    for name, (has, must) in facts.items():
        if has != must:
            raise VolumeError(f"{path}: its {name} is {has}, it must be {must}; the file is not to be handed in")
