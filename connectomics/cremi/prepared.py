"""Write an aligned volume of the challenge, with what is needed to undo the alignment."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from connectomics.alignment.shift_table import ShiftTable, stored_table
from connectomics.alignment.stack import MovedSource, Stack, copy_window
from connectomics.cremi.layout import Sample
from connectomics.errors import VolumeError
from connectomics.geometry import ZYX, Box
from connectomics.volumes.labels import EXCLUDED, OUTSIDE, split_clefts
from connectomics.volumes.source import VolumeSource
from connectomics.volumes.write import VolumeWriter

ZERO_ID = OUTSIDE - 1
"""New id of a cleft that has the id 0 in a challenge file, where 0 becomes the background."""

OnSection = Callable[[int, Stack, NDArray], None]
"""Called with the number of a section as imaged, the stack as imaged, and the aligned section that was written."""


@dataclass(frozen=True, slots=True, eq=False)
class Preparation:
    """How a volume is aligned, and which part of it is written."""

    table: ShiftTable
    """The shifts of all sections as imaged."""
    box: Box
    """The labelled voxels of the volume as imaged."""
    origin: ZYX
    """Voxel of the aligned stack that is written first, in the coordinates of the volume as imaged."""
    shape: ZYX
    """Extent of the written volume along (z, y, x), in voxels."""
    source: str
    """Name of the file that the volume was made from."""

    @classmethod
    def around(cls, table: ShiftTable, sample: Sample, margin: ZYX, source: str) -> Preparation:
        """Plan to write what shows the labelled box of every section, with a margin where there is tissue."""
        shape, box = sample.raw.shape, sample.box
        first, last = max(0, box.start[0] - margin[0]), min(shape[0], box.stop[0] + margin[0])
        inside, around = table.shifts[box.slices[0]], table.shifts[first:last]
        low, high = [first], [last]
        for axis in (1, 2):
            most, least = around[:, axis - 1].max(), around[:, axis - 1].min()
            low.append(int(max(box.start[axis] - inside[:, axis - 1].max() - margin[axis], -most)))
            high.append(int(min(box.stop[axis] - inside[:, axis - 1].min() + margin[axis], shape[axis] - least)))
        written = Box((low[0], low[1], low[2]), (high[0], high[1], high[2]))
        return cls(table, box, written.start, written.shape, source)

    @classmethod
    def stored(cls, attributes: Mapping[str, Any], shape: ZYX) -> Preparation | None:
        """Return what `attributes` stored in a file of `shape`, or None where there is nothing of the kind."""
        table = stored_table(attributes)
        if table is None or not {"box_start", "box_shape", "origin", "source"} <= attributes.keys():
            return None
        start, extent, origin = (_triple(attributes[name]) for name in ("box_start", "box_shape", "origin"))
        return cls(table, Box.at(start, extent), origin, shape, str(attributes["source"]))

    def attributes(self) -> dict[str, Any]:
        """Return what is stored with each of the files."""
        return self.table.attributes() | {
            "box_start": np.array(self.box.start),
            "box_shape": np.array(self.box.shape),
            "origin": np.array(self.origin),
            "source": self.source,
        }

    def stand_in(self, z: int) -> int:
        """Return the section of the aligned volume that section z of it shows; itself, unless z is bad."""
        return int(self.table.shown[z + self.origin[0]]) - self.origin[0]

    def undo(self, read_section: Callable[[int], NDArray]) -> Iterator[NDArray]:
        """Yield the labelled box as imaged, section by section, (Y, X).

        Args:
            read_section: Gives section z of a volume on the aligned grid, (Y, X).
        """
        for z in range(self.box.start[0], self.box.stop[0]):
            section = read_section(z - self.origin[0])
            y, x = (int(self.box.start[axis] - self.origin[axis] - self.table.shifts[z][axis - 1]) for axis in (1, 2))
            window = np.zeros(self.box.shape[1:], section.dtype)
            copy_window(section, (y, x), window)
            yield window


def write_prepared(
    sample: Sample, plan: Preparation, folder: Path, name: str, on_section: OnSection = lambda z, stack, aligned: None
) -> list[Path]:
    """Write `im_<name>.h5`, and where there are labels `syn_<name>.h5` and `mask_<name>.h5`, all of them or none.

    In `syn` 0 is the background; in `mask` 1 is where voxels are annotated: within the labelled box, without the voxels
    that the challenge leaves out and the sections that a neighbour stands in for.

    Returns:
        The files.

    Raises:
        VolumeError: If a file cannot be read or written, or an id means nothing.
    """
    image = MovedSource(sample.raw, plan.table, plan.origin, plan.shape)
    types: dict[str, DTypeLike] = {"im": image.info.dtype}
    if sample.clefts is not None:
        types |= {"syn": np.uint64, "mask": np.uint8}
    label = None if sample.clefts is None else _moved_label(sample.clefts, plan)
    grid = {"resolution": np.array(image.info.spacing_nm), "offset": np.array(image.info.offset_nm)}
    paths = [folder / f"{kind}_{name}.h5" for kind in types]
    with ExitStack() as open_files:
        writers = [
            open_files.enter_context(VolumeWriter(path, 1, plan.shape, dtype, grid | plan.attributes()))
            for path, dtype in zip(paths, types.values(), strict=True)
        ]
        for z in range(plan.shape[0]):
            section = Box.sections(z, z + 1, plan.shape)
            aligned = image.read(section)
            written = [aligned] if label is None else [aligned, *_split_label(label.read(section), plan, z)]
            for writer, voxels in zip(writers, written, strict=True):
                writer.write(z, voxels)
            on_section(z + plan.origin[0], image.stack, aligned[0, 0])
    return paths


def _moved_label(clefts: VolumeSource, plan: Preparation) -> MovedSource:
    """Return the labels on the aligned grid; each section's own, also where a neighbour stands in for its image."""
    shifts = plan.table.shifts[plan.box.slices[0]]
    z, y, x = (a - b for a, b in zip(plan.origin, plan.box.start, strict=True))
    table = ShiftTable(shifts, np.arange(len(shifts)))
    return MovedSource(clefts, table, (z, y, x), plan.shape, fill=EXCLUDED)


def _split_label(ids: NDArray[np.uint64], plan: Preparation, z: int) -> tuple[NDArray, NDArray]:
    """Return ids with 0 for the background, and which voxels are annotated, both (1, 1, Y, X)."""
    label = split_clefts(ids, "cremi")
    if ((ids == np.uint64(ZERO_ID)) & label.foreground).any():
        raise VolumeError(f"{plan.source}: a cleft has the id {ZERO_ID:#x}, which stands for the id 0 here")
    named = np.where(label.foreground, np.where(ids == 0, np.uint64(ZERO_ID), ids), np.uint64(0))
    annotated = np.ones(ids.shape, np.uint8) if label.annotated is None else label.annotated.astype(np.uint8)
    if plan.stand_in(z) != z:
        annotated[:] = 0
    return named, annotated


def _triple(values: Any) -> ZYX:
    z, y, x = (int(value) for value in np.asarray(values).ravel())
    return z, y, x
