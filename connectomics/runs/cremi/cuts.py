"""A picture of a stack from the side, as imaged and aligned: jumps show as steps."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from connectomics.alignment.stack import copy_window
from connectomics.cremi.prepared import Preparation
from connectomics.drawing.figures import Color, stacked
from connectomics.geometry import Spacing

WIDTH = 900
"""Largest width of one cut, in pixels."""

SECTION_PX = 2
"""Least height of a section, in pixels; a stack of few sections is stretched."""

BAD_COLOR = (230, 30, 30)
TITLE_PX = 24


class Cuts:
    """The cuts along xz and yz through the middle of the labelled box, gathered section by section."""

    def __init__(self, plan: Preparation) -> None:
        """Prepare to gather the sections that `plan` writes."""
        depth, height, width = plan.shape
        self.plan = plan
        middle = [(plan.box.start[axis] + plan.box.stop[axis]) // 2 for axis in (1, 2)]
        self._there = middle[0], middle[1]
        self._y, self._x = (
            min(max(m - o, 0), n - 1) for m, o, n in zip(middle, plan.origin[1:], plan.shape[1:], strict=True)
        )
        self.pictures = {
            ("xz", "as imaged"): np.zeros((depth, width), np.float32),
            ("yz", "as imaged"): np.zeros((depth, height), np.float32),
            ("xz", "aligned"): np.zeros((depth, width), np.float32),
            ("yz", "aligned"): np.zeros((depth, height), np.float32),
        }

    def add(self, z: int, raw: NDArray, aligned: NDArray) -> None:
        """Take the cuts of section z: as imaged, (Y, X), and as it was written."""
        _, y, x = self.plan.origin
        at = z - self.plan.origin[0]
        copy_window(raw, (self._there[0], x), self.pictures["xz", "as imaged"][at][np.newaxis])
        copy_window(raw, (y, self._there[1]), self.pictures["yz", "as imaged"][at][:, np.newaxis])
        self.pictures["xz", "aligned"][at] = aligned[self._y]
        self.pictures["yz", "aligned"][at] = aligned[:, self._x]


def draw_cuts(cuts: Cuts, spacing_nm: Spacing) -> Color:
    """Return the four cuts in one picture, RGB (height, width, 3): above as imaged, below aligned.

    Bad sections have a red mark at the left; the proportions are those of the tissue, unless there are few sections.
    """
    low, high = np.percentile(np.concatenate([picture.ravel() for picture in cuts.pictures.values()]), (0.5, 99.5))
    drawn = {key: _draw(cut, cuts.plan, spacing_nm, (low, high), " ".join(key)) for key, cut in cuts.pictures.items()}
    rows = [stacked([drawn["xz", how], drawn["yz", how]], axis=1) for how in ("as imaged", "aligned")]
    return stacked(rows, axis=0)


def _draw(
    cut: NDArray[np.float32], plan: Preparation, spacing_nm: Spacing, reach: tuple[float, float], title: str
) -> Color:
    gray = ((cut - reach[0]) / max(reach[1] - reach[0], 1e-9)).clip(0, 1)
    longest = max(plan.shape[1:])
    scale = min(1.0, WIDTH / longest)
    width = max(1, round(cut.shape[1] * scale))
    step = max(SECTION_PX, round(spacing_nm[0] / spacing_nm[2] * scale))
    fit = cv2.resize((gray * 255).astype(np.uint8), (width, len(cut)), interpolation=cv2.INTER_AREA)
    picture = np.repeat(np.repeat(fit, step, axis=0)[..., np.newaxis], 3, axis=-1)
    for z in plan.table.replaced:
        top = (z - plan.origin[0]) * step
        if 0 <= top < len(picture):
            picture[top : top + step, :8] = BAD_COLOR
    head = np.full((TITLE_PX, width, 3), 255, np.uint8)
    cv2.putText(head, title, (4, TITLE_PX - 7), cv2.FONT_HERSHEY_SIMPLEX, 0.5, (0, 0, 0), 1, cv2.LINE_AA)
    return np.concatenate([head, picture])
