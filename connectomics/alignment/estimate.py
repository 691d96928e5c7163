"""The shifts and the bad sections of a stack, estimated from its images."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from connectomics.alignment.correlate import find_displacement
from connectomics.alignment.section_positions import Pair, find_bad_sections, solve_positions
from connectomics.alignment.section_views import SectionView, view_section
from connectomics.alignment.shift_table import ShiftTable, tabulate
from connectomics.alignment.stack import Stack

NEIGHBOURS = 4
"""How many preceding sections each section is compared with; three bad ones in a row are bridged."""


@dataclass(frozen=True, slots=True, eq=False)
class Alignment:
    """What is known of how the sections of a stack lie."""

    table: ShiftTable
    bad: Mapping[int, str]
    """The bad sections, and what is wrong with each."""


def estimate_alignment(
    stack: Stack, anchor: range, on_progress: Callable[[int, int], None] = lambda done, total: None
) -> Alignment:
    """Estimate how the sections of a stack lie, and which of them are bad.

    Each section is compared with the four before it; positions are those that most comparisons agree on. What is
    measured is the displacement that all of the tissue in view has in common. It cannot be told from a drift of the
    tissue itself, such as a bundle of neurites that runs obliquely through the whole view; and the errors of the
    sections add up along the stack as a random walk does, so that a slow drift is known less well than a jump.

    Args:
        stack: The sections; only a few of them are in memory at a time.
        anchor: Sections that are to stay where they are on average.
        on_progress: Called with the number of sections that are done and of all sections.

    Raises:
        VolumeError: If a section cannot be read, or they do not resemble one another.
    """
    recent: deque[tuple[int, SectionView]] = deque(maxlen=NEIGHBOURS)
    pairs: list[Pair] = []
    contrasts: list[float] = []
    for z in range(len(stack)):
        view = view_section(as_gray(stack.section(z)))
        pairs += [Pair(before, z, find_displacement(other, view)) for before, other in recent]
        contrasts.append(view.contrast)
        recent.append((z, view))
        on_progress(z + 1, len(stack))
    bad = find_bad_sections(contrasts, pairs, stack.source.info.location)
    return Alignment(tabulate(solve_positions(len(stack), pairs, bad), bad, anchor), dict(sorted(bad.items())))


def as_gray(section: np.ndarray) -> np.ndarray:
    """Return a section in a type that OpenCV filters; grey values stay as they are."""
    return section if section.dtype in (np.uint8, np.uint16, np.float32) else section.astype(np.float32)
