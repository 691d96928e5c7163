"""The table of shifts: where each section lies, and which section replaces a bad one."""

from __future__ import annotations

import csv
import io
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from connectomics.errors import VolumeError
from connectomics.files import write_text
from connectomics.volumes.attributes import read_attributes

COLUMNS = ("z", "y", "x", "shown")


@dataclass(frozen=True, slots=True, eq=False)
class ShiftTable:
    """How the sections of a stack are moved, by whole pixels.

    Voxel (z, y, x) of the aligned stack is voxel (shown[z], y + shifts[z][0], x + shifts[z][1]) of the stack as imaged.
    """

    shifts: NDArray[np.int64]
    """How far the tissue of each section lies too far down and too far to the right, in pixels, (Z, 2)."""
    shown: NDArray[np.int64]
    """Index of the section shown at each place, (Z,): its own, or that of the neighbour that replaces a bad one."""

    @classmethod
    def still(cls, count: int) -> ShiftTable:
        """Return the table that leaves `count` sections as they are."""
        return cls(np.zeros((count, 2), np.int64), np.arange(count))

    def __len__(self) -> int:
        return len(self.shown)

    @property
    def replaced(self) -> list[int]:
        """The sections for which a neighbour stands in."""
        return np.flatnonzero(self.shown != np.arange(len(self))).tolist()

    def attributes(self) -> dict[str, Any]:
        """Return what is stored with a volume that was moved by this table."""
        return {"shifts": self.shifts, "shown": self.shown}


def tabulate(positions: NDArray[np.float64], bad: Collection[int], anchor: range) -> ShiftTable:
    """Round positions to whole pixels, and let the nearest good neighbour stand in for each bad section.

    Args:
        positions: Along (y, x), in pixels, (Z, 2); of a bad section nothing is taken.
        bad: The bad sections.
        anchor: The sections that are to stay where they are on average.

    Raises:
        VolumeError: If no section is good.
    """
    good = np.array([z for z in range(len(positions)) if z not in bad], np.int64)
    if not len(good):
        raise VolumeError("every section is bad")
    kept = [z for z in anchor if z not in bad] or good.tolist()
    shifts = np.rint(positions - np.median(positions[kept], axis=0)).astype(np.int64)
    shown = np.arange(len(positions))
    for z in bad:
        shown[z] = good[np.abs(good - z).argmin()]
    return ShiftTable(shifts[shown], shown)


def stored_table(attributes: Mapping[str, Any]) -> ShiftTable | None:
    """Return the table that `ShiftTable.attributes` stored, or None where there is none."""
    if "shifts" not in attributes or "shown" not in attributes:
        return None
    return ShiftTable(np.asarray(attributes["shifts"], np.int64), np.asarray(attributes["shown"], np.int64))


def write_table(path: Path, table: ShiftTable) -> None:
    """Write a table as comma-separated values: z, y, x, shown."""
    rows = io.StringIO()
    writer = csv.writer(rows, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows([z, y, x, shown] for z, ((y, x), shown) in enumerate(zip(table.shifts, table.shown, strict=True)))
    write_text(path, rows.getvalue(), VolumeError)


def read_table(path: Path, count: int) -> ShiftTable:
    """Read a table of `count` sections: comma-separated values, or a file that `prepare` wrote.

    Of the values, column `shown` may be missing; no section is then replaced.

    Raises:
        VolumeError: If there is no such file, or it holds no whole numbers for each of the sections.
    """
    if not path.is_file():
        raise VolumeError(f"{path} does not exist")
    if path.suffix == ".h5":
        table = stored_table(read_attributes(path))
        if table is None:
            raise VolumeError(f"{path} holds no table of shifts; its dataset `main` has no attributes shifts and shown")
    else:
        table = _parse(path)
    if len(table) != count:
        raise VolumeError(f"{path} has {len(table)} sections, the volume has {count}")
    if table.shown.size and not (table.shown.min() >= 0 and table.shown.max() < count):
        raise VolumeError(f"{path}: column shown names a section that the volume, with {count}, has not")
    return table


def _parse(path: Path) -> ShiftTable:
    try:
        rows = list(csv.reader(path.read_text(encoding="utf-8").splitlines()))
    except (UnicodeDecodeError, csv.Error, OSError) as error:
        raise VolumeError(f"{path} is no table of comma-separated values: {error}") from error
    rows = [row for row in rows if row]
    names = tuple(name.strip() for name in rows[0]) if rows else ()
    if names not in (COLUMNS, COLUMNS[:3]):
        raise VolumeError(f"{path} must begin with the line z,y,x or z,y,x,shown; it begins with {','.join(names)!r}")
    try:
        values = np.array([[int(value) for value in row] for row in rows[1:]], np.int64).reshape(-1, len(names))
    except (ValueError, OverflowError) as error:
        raise VolumeError(f"{path} must hold whole numbers, {len(names)} in a line: {error}") from error
    if not np.array_equal(values[:, 0], np.arange(len(values))):
        raise VolumeError(f"{path}: column z must count the sections 0, 1, 2, ... in order")
    shown = values[:, 3] if len(names) == 4 else np.arange(len(values))
    return ShiftTable(values[:, 1:3], shown)
