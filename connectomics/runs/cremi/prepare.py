"""`cremi.py prepare`: align volumes, write image, label and mask, report and draw what was done."""

from __future__ import annotations

import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path

from numpy.typing import NDArray
from rich.table import Table

from connectomics.alignment.estimate import Alignment, estimate_alignment
from connectomics.alignment.likeness import Likeness
from connectomics.alignment.shift_table import ShiftTable, read_table, write_table
from connectomics.alignment.stack import Stack
from connectomics.cremi.layout import Sample, open_sample
from connectomics.cremi.prepared import Preparation, write_prepared
from connectomics.cremi.remote_files import short_name
from connectomics.drawing.figures import write_png
from connectomics.errors import UserError, VolumeError
from connectomics.geometry import ZYX, Box, Spacing
from connectomics.runs.cremi.cuts import Cuts, draw_cuts
from connectomics.screen.console import console, say
from connectomics.screen.durations import describe_seconds
from connectomics.screen.moving_bar import MovingBar
from connectomics.volumes.read import name_of, split_location

JUMP_PX = 10
"""A section that moves farther than this from the one before it is listed."""

MOST_ROWS = 40
"""Most rows of the table on the screen; the file has all sections."""


@dataclass(frozen=True, slots=True)
class PrepareOptions:
    """How volumes are to be prepared."""

    out: Path
    margin: ZYX
    """How many voxels are written around the labelled box."""
    shifts: Path | None
    """Table of shifts that is used instead of the estimate."""
    no_align: bool
    box: Box | None
    """The voxels to label, for volumes without labels."""
    spacing_nm: Spacing | None


def prepare(locations: Sequence[str], options: PrepareOptions) -> None:
    """Prepare volumes for training and test.

    Writes `im_<name>.h5` with the sections aligned, `syn_<name>.h5` and `mask_<name>.h5` where there are labels,
    `shifts_<name>.csv` and a picture, `alignment_<name>.png`.

    Raises:
        UserError: If a volume cannot be used, which is told before any is written, or cannot be written.
    """
    samples = [open_sample(location, options.box, options.spacing_nm) for location in locations]
    for note in dict.fromkeys(note for sample in samples for note in sample.notes):
        say(note)
    names = [short_name(name_of(location)) for location in locations]
    twice = [name for name in names if names.count(name) > 1]
    if twice:
        raise VolumeError(f"two volumes would both be written as im_{twice[0]}.h5; prepare them one by one")
    for location, name in zip(locations, names, strict=True):
        path = split_location(location)[0]
        if path.resolve() == (options.out / f"im_{name}.h5").resolve():
            raise VolumeError(f"{path} would be written over itself; set another --out")
    if options.shifts is not None and len(samples) > 1:
        raise UserError("--shifts is the table of one volume; prepare the others by themselves")
    tables = [None if options.shifts is None else read_table(options.shifts, sample.raw.shape[0]) for sample in samples]
    _require_room(options.out, samples)
    for location, sample, name, table in zip(locations, samples, names, tables, strict=True):
        _prepare_one(sample, name, split_location(location)[0].name, table, options)


def _prepare_one(sample: Sample, name: str, source: str, table: ShiftTable | None, options: PrepareOptions) -> None:
    begun = time.monotonic()
    alignment = _align(sample, name, table, options)
    plan = Preparation.around(alignment.table, sample, options.margin, source)
    likeness = Likeness(plan.table, sample.box)
    cuts = Cuts(plan)
    with MovingBar(f"{name}: writing", prints_lines=False) as progress:

        def on_section(z: int, stack: Stack, aligned: NDArray) -> None:
            likeness.compare(z, stack)
            cuts.add(z, stack.section(z), aligned)
            progress.update(z - plan.origin[0] + 1, plan.shape[0])

        paths = write_prepared(sample, plan, options.out, name, on_section)
    write_table(options.out / f"shifts_{name}.csv", plan.table)
    picture = options.out / f"alignment_{name}.png"
    write_png(picture, draw_cuts(cuts, sample.raw.info.spacing_nm or (1.0, 1.0, 1.0)))
    _tell(name, alignment, likeness)
    written = ", ".join(str(path) for path in [*paths, options.out / f"shifts_{name}.csv", picture])
    say(f"{name}: {written}; {plan.shape} voxels, {describe_seconds(time.monotonic() - begun)}")


def _align(sample: Sample, name: str, table: ShiftTable | None, options: PrepareOptions) -> Alignment:
    if table is not None:
        return Alignment(table, dict.fromkeys(table.replaced, "in the table"))
    if options.no_align:
        return Alignment(ShiftTable.still(sample.raw.shape[0]), {})
    box = sample.box
    say(f"{name}: comparing {sample.raw.shape[0]} sections with their neighbours")
    with MovingBar(f"{name}: comparing sections", prints_lines=False) as progress:
        return estimate_alignment(Stack(sample.raw), range(box.start[0], box.stop[0]), progress.update)


def _tell(name: str, alignment: Alignment, likeness: Likeness) -> None:
    """Print what was found: bad sections, jumps, and how alike neighbours are."""
    shifts, shown = alignment.table.shifts, alignment.table.shown
    rows = []
    for z, (y, x) in enumerate(shifts.tolist()):
        dy, dx = (0, 0) if z == 0 else (shifts[z] - shifts[z - 1]).tolist()
        bad = f"bad: {alignment.bad[z]}; section {shown[z]} stands in" if z in alignment.bad else ""
        if bad or max(abs(dy), abs(dx)) > JUMP_PX:
            rows.append((str(z), f"{y:+d}", f"{x:+d}", f"{dy:+d}", f"{dx:+d}", bad))
    if rows:
        table = Table("section", "y (px)", "x (px)", "jump y", "jump x", "", title=f"{name}: jumps and bad sections")
        for row in rows[:MOST_ROWS]:
            table.add_row(*row)
        console().print(table)
        if len(rows) > MOST_ROWS:
            say(f"... and {len(rows) - MOST_ROWS} more")
    before, after = likeness.means
    reach = ", ".join(
        f"{axis} from {low:+d} to {high:+d}"
        for axis, low, high in zip("yx", shifts.min(0).tolist(), shifts.max(0).tolist(), strict=True)
    )
    say(
        f"{name}: {len(shifts)} sections, shifts in pixels: {reach}; {len(alignment.bad)} bad; correlation of "
        f"neighbouring sections {before:.3f} as imaged, {after:.3f} aligned"
    )


def _require_room(folder: Path, samples: Sequence[Sample]) -> None:
    """Refuse to write where the results would not fit, or nothing can be written."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(folder).free
    except OSError as error:
        raise UserError(f"--out {folder} cannot be written: {error.strerror or error}") from error
    # Images hardly compress; the planes grow by margins and drift, the ids, mostly background, to almost nothing.
    needed = sum(prod(sample.raw.shape) * sample.raw.info.dtype.itemsize for sample in samples)
    if needed > free:
        raise UserError(f"the results need up to {needed / 1e9:.1f} GB, {folder} has {free / 1e9:.1f} GB free")
