"""The files of a stack of single sections: a folder or a pattern, in natural order, with what is missing told."""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

from connectomics.errors import VolumeError
from connectomics.volumes.damage import require_regular

SAME_KIND = {".jpeg": ".jpg", ".tiff": ".tif"}
"""Suffixes that mean what another one means."""

MOST_GAPS = 4
"""How many gaps a remark lists."""


def is_pattern(path: Path) -> bool:
    """Return whether a path that a user wrote stands for several files, such as `sections/*.png`."""
    return any(sign in path.name for sign in "*?[") and not os.path.lexists(path)


def kind_of(file: Path) -> str:
    """Return the suffix of a file, one for all suffixes of its kind."""
    suffix = file.suffix.lower()
    return SAME_KIND.get(suffix, suffix)


def find_sections(path: Path, known: Sequence[str]) -> list[Path]:
    """Return the files of a stack in natural order: s9.png before s10.png.

    Args:
        path: A folder, or a pattern of names in one, or a single file.
        known: Suffixes of files that can be sections.

    Raises:
        VolumeError: If there are none, or several kinds of them, or one is no regular file.
    """
    if path.is_file():
        return [path]
    if is_pattern(path):
        found = [path.parent / Path(name).name for name in glob.glob(glob.escape(str(path.parent)) + "/" + path.name)]
        files = [file for file in found if kind_of(file) in map(kind_of, map(Path, (f"x{end}" for end in known)))]
        nothing = f"{path} matches no section; a section is one of {', '.join(known)}"
    else:
        files = [file for file in path.iterdir() if file.suffix.lower() in known and file.name[0] != "."]
        nothing = f"{path} holds no sections; a section is one of {', '.join(known)}"
    if not files:
        raise VolumeError(nothing)
    kinds = sorted({kind_of(file) for file in files})
    if len(kinds) > 1:
        raise VolumeError(
            f"{path} holds sections of several kinds ({', '.join(kinds)}); name one: '{_of(path)}/*{kinds[0]}'"
        )
    for file in files:
        require_regular(file)
    return sorted(files, key=natural_order)


def natural_order(file: Path) -> tuple[list[str | int], str]:
    """Return what files are sorted by, so that numbers in their names count as numbers."""
    parts: list[str | int] = list(re.split(r"([0-9]+)", file.name))
    parts[1::2] = [int(part) for part in parts[1::2]]
    return parts, file.name


def tell_gaps(files: Sequence[Path]) -> list[str]:
    """Return a remark where the names of sections count up with a gap; nothing where they do not count."""
    numbers = _running_numbers([file.stem for file in files])
    steps = [b - a for a, b in pairwise(numbers)]
    usual = min(steps, default=0)
    if usual < 1 or all(step == usual for step in steps):
        return []
    if any(step % usual for step in steps):
        after = [files[i].name for i, step in enumerate(steps) if step != usual]
        return [f"their names do not count up evenly, after {', '.join(after[:3])}{', ...' if len(after) > 3 else ''}"]
    gaps = [(a + usual, b - usual) for a, b in pairwise(numbers) if b - a > usual]
    count = sum((b - a) // usual + 1 for a, b in gaps)
    several = count > 1
    return [f"by their names, section{'s' if several else ''} {_written(gaps, usual)} of {numbers[0]}..{numbers[-1]} "
            f"{'are' if several else 'is'} missing"]  # fmt: skip


def _running_numbers(stems: Sequence[str]) -> list[int]:
    """Return the one number of each name that differs between them; none where that is not clear."""
    parts = [re.split(r"([0-9]+)", stem) for stem in stems]
    if len({tuple(one[::2]) for one in parts}) != 1:  # the texts between the numbers differ
        last = [one[-2:-1] for one in parts]
        return [int(one[0]) for one in last] if all(last) else []
    columns = list(zip(*([int(number) for number in one[1::2]] for one in parts), strict=True))
    counting = [column for column in columns if len(set(column)) > 1]
    return list(counting[0]) if len(counting) == 1 else []


def _written(gaps: Sequence[tuple[int, int]], usual: int) -> str:
    said = [str(a) if a == b else f"{a} to {b}" for a, b in gaps[:MOST_GAPS]]
    if len(gaps) == 1 and gaps[0][1] - gaps[0][0] == usual:
        said = [f"{gaps[0][0]} and {gaps[0][1]}"]
    more = f" and {len(gaps) - MOST_GAPS} more gaps" if len(gaps) > MOST_GAPS else ""
    if len(said) == 1 or more:
        return ", ".join(said) + more
    return f"{', '.join(said[:-1])} and {said[-1]}"


def _of(path: Path) -> Path:
    return path.parent if is_pattern(path) else path
