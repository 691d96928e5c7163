"""A strip that says what the lines of a picture mean, and how many objects each kind has."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from connectomics.drawing.figures import Color
from connectomics.drawing.outcome_styles import RGB, STYLES

ROW, SAMPLE, MARGIN = 22, 34, 10
"""Height of a row, length of a line that serves as an example, and what is left free around it, in pixels."""

PAPER, INK = 60, (235, 235, 235)
FONT, SIZE = cv2.FONT_HERSHEY_SIMPLEX, 0.45


def draw_legend(entries: Sequence[tuple[str, str]], width: int) -> Color:
    """Return a strip as wide as a picture, of as many rows as are needed: RGB, (height, width, 3).

    Args:
        entries: Words of `outcome_styles.STYLES`, each with what is written beside its line.
        width: In pixels; what is longer than that is cut off.
    """
    places, x, row = [], MARGIN, 0
    for _, text in entries:
        length = SAMPLE + 2 * MARGIN + cv2.getTextSize(text, FONT, SIZE, 1)[0][0]
        if x > MARGIN and x + length > width:
            x, row = MARGIN, row + 1
        places.append((x, row))
        x += length + MARGIN
    strip = np.full(((row + 1) * ROW, width, 3), PAPER, np.uint8)
    for (word, text), (x, row) in zip(entries, places, strict=True):
        middle = row * ROW + ROW // 2
        _draw_sample(strip, x, middle, STYLES[word].color, STYLES[word].dash)
        cv2.putText(strip, text, (x + SAMPLE + MARGIN, middle + 5), FONT, SIZE, INK, 1, cv2.LINE_AA)
    return strip


def _draw_sample(strip: Color, x: int, y: int, color: RGB, dash: Sequence[int]) -> None:
    """Draw a level line, two pixels thick, in its dashes."""
    at, end, turn = x, x + SAMPLE, 0
    while at < end:
        length = dash[turn % len(dash)] if dash else SAMPLE
        if turn % 2 == 0:
            strip[y : y + 2, at : min(at + length, end)] = color
        at, turn = at + length, turn + 1
