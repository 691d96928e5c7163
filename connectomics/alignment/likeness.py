"""How alike neighbouring sections are, as imaged and once they are aligned."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from connectomics.alignment.correlate import similarity
from connectomics.alignment.shift_table import ShiftTable
from connectomics.alignment.stack import Stack
from connectomics.geometry import Box


@dataclass(slots=True, eq=False)
class Likeness:
    """The correlation of grey values of neighbouring sections, of those that are good, in a box of the plane."""

    table: ShiftTable
    box: Box
    before: list[float] = field(default_factory=list)
    """Likeness of each pair as imaged."""
    after: list[float] = field(default_factory=list)
    """Likeness of each pair once aligned."""

    def compare(self, z: int, stack: Stack) -> None:
        """Compare section z with the one before it."""
        if z <= self.box.start[0] or z >= self.box.stop[0] or {z, z - 1} & set(self.table.replaced):
            return
        first, second = stack.section(z - 1), stack.section(z)
        y, x = (int(n) for n in self.table.shifts[z] - self.table.shifts[z - 1])
        plane = self.box.slices[1:]
        self.before.append(similarity(first[plane], second[plane], (0, 0)))
        rows, there_rows = _both(plane[0], y, first.shape[0])
        columns, there_columns = _both(plane[1], x, first.shape[1])
        self.after.append(similarity(first[rows, columns], second[there_rows, there_columns], (0, 0)))

    @property
    def means(self) -> tuple[float, float]:
        """Before and after, on average; NaN where nothing was compared."""
        return _mean(self.before), _mean(self.after)


def _both(wanted: slice, displacement: int, extent: int) -> tuple[slice, slice]:
    """Return the part of a range that both sections show, as each of them counts."""
    low, high = max(wanted.start, -displacement, 0), min(wanted.stop, extent - displacement, extent)
    return slice(low, max(low, high)), slice(low + displacement, max(low, high) + displacement)


def _mean(values: list[float]) -> float:
    return float(np.mean(values)) if values else float("nan")
