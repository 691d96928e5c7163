"""Pictures of sections: raw, outlines of masks, probabilities."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from connectomics.drawing.arrows import place_arrow
from connectomics.drawing.outcome_styles import RGB, STYLES
from connectomics.files import write_bytes

Gray = npt.NDArray[np.uint8]
Color = npt.NDArray[np.uint8]

ARROW_COLOR = (255, 255, 255)
TINT = 0.3
"""Share of a part's colour in a picture."""
CHANNEL_COLORS = ((255, 50, 220), (0, 225, 255), (255, 200, 0))
"""Colours of the channels of a target that has several, in order: pre is magenta, post cyan, as is usual in the
field."""
GAP = 4


def to_gray(image: npt.NDArray) -> Gray:
    """Return an image in [0, 1], (..., Y, X), as grey values."""
    return (np.clip(image, 0, 1) * 255).round().astype(np.uint8)


def outlined(section: Gray, mask: npt.NDArray, color: RGB, dash: Sequence[int] = ()) -> Color:
    """Return a section (Y, X) as RGB (Y, X, 3) with a line of one pixel around each object of `mask`, outside it.

    Args:
        section: Grey values, or a picture (Y, X, 3).
        mask: The objects, not 0.
        color: That of the line.
        dash: Lengths of lines and gaps along it, in turn, in pixels; none for an unbroken line.
    """
    picture = section.copy() if section.ndim == 3 else np.repeat(section[..., np.newaxis], 3, axis=-1)
    inside = (mask > 0).astype(np.uint8)
    line = cv2.dilate(inside, np.ones((3, 3), np.uint8)) > inside
    if dash:
        line &= _dashes(inside, dash)
    picture[line] = color
    return picture


def _dashes(inside: npt.NDArray[np.uint8], dash: Sequence[int]) -> npt.NDArray[np.bool_]:
    """Return where the lines around the objects of a mask (Y, X) are drawn, and are no gaps."""
    drawn = np.zeros(inside.shape, np.bool_)
    inked = np.concatenate([np.full(length, i % 2 == 0) for i, length in enumerate(dash)])
    grown = cv2.dilate(inside, np.ones((3, 3), np.uint8))
    for contour in cv2.findContours(grown, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)[0]:
        x, y = contour[:, 0].T
        on = inked[np.arange(len(x)) % len(inked)]
        drawn[y[on], x[on]] = True
    return drawn


def heat(probability: npt.NDArray) -> Color:
    """Return probabilities (Y, X) as RGB, dark to bright."""
    colored = cv2.applyColorMap(to_gray(probability), cv2.COLORMAP_INFERNO)
    return np.asarray(cv2.cvtColor(colored, cv2.COLOR_BGR2RGB), np.uint8)


def draw_outcomes(
    section: Gray, outlines: Iterable[tuple[str, npt.NDArray]], ids: Sequence[npt.NDArray] = (), parts: int = 1
) -> Color:
    """Return a section (Y, X) with objects outlined, each in the style of what became of it.

    Objects in several parts are tinted in the parts' colours, and an arrow leads from the first part to the last.

    Args:
        section: Grey values.
        outlines: Words of `outcome_styles.STYLES`, each with the pixels of the objects that are drawn so, bool, (Y, X).
        ids: What is tinted: ids (Y, X), of which object k of n parts has n (k - 1) + 1 to n k. Not looked at where
            objects have one part.
        parts: Number of parts that an object may consist of.
    """
    picture = np.repeat(section[..., np.newaxis], 3, axis=-1)
    for own in ids if parts > 1 else ():
        picture = _parted(picture, own, parts)
    for word, mask in outlines:
        picture = outlined(picture, mask, STYLES[word].color, STYLES[word].dash)
    return picture


def _parted(picture: npt.NDArray, ids: npt.NDArray, parts: int) -> npt.NDArray:
    """Return a picture with a tint on each part of the objects, and an arrow from the first part to the last."""
    if parts == 1:
        return picture
    picture = picture.copy() if picture.ndim == 3 else np.repeat(picture[..., np.newaxis], 3, axis=-1)
    own = np.where(ids > 0, (ids - 1) % parts, parts)  # a type of `ids` wraps at 0, which is not taken
    for part in range(parts):
        color = np.array(CHANNEL_COLORS[part % len(CHANNEL_COLORS)])
        picture[own == part] = ((1 - TINT) * picture[own == part] + TINT * color).round()
    for k in np.unique((ids[ids > 0] - 1) // parts):
        ends = [np.argwhere(ids == parts * k + part) for part in (1, parts)]
        corners = place_arrow(*(tuple(end.mean(axis=0)) for end in ends)) if all(map(len, ends)) else []
        line = np.array([(round(x), round(y)) for y, x in corners], np.int32).reshape(-1, 1, 2)
        if len(line):
            cv2.polylines(picture, [line], isClosed=False, color=ARROW_COLOR, thickness=1, lineType=cv2.LINE_AA)
    return picture


def sections_side_by_side(
    image: npt.NDArray, label: npt.NDArray, probability: npt.NDArray, outcomes: npt.NDArray, num_sections: int
) -> Color:
    """Return one picture of a patch: a column for each of some sections.

    From above: raw, raw with the label, raw with every object in the style of what became of it, and probability.

    Args:
        image: Grey values in [0, 1], (Z, Y, X).
        label: Foreground where more than 0.5, (C, Z, Y, X); each of several channels has a colour of `CHANNEL_COLORS`.
        probability: Probabilities in [0, 1], (C, Z, Y, X); each channel is a row.
        outcomes: What became of each object: its place in `outcome_styles.STYLES`, from 1; 0 for none, (Z, Y, X).
        num_sections: Columns, evenly spread over the depth.

    Returns:
        RGB, (height, width, 3).
    """
    depth = image.shape[0]
    chosen = np.unique(np.linspace(0, depth - 1, min(num_sections, depth)).round().astype(int))
    columns = []
    for z in chosen:
        raw = np.repeat(to_gray(image[z])[..., np.newaxis], 3, axis=-1)
        judged = draw_outcomes(to_gray(image[z]), [(word, outcomes[z] == i) for i, word in enumerate(STYLES, 1)])
        rows = [raw, _all_outlined(raw, label[:, z] > 0.5), judged, *map(heat, probability[:, z])]
        columns.append(stacked(rows, axis=0))
    return stacked(columns, axis=1)


def _all_outlined(picture: Color, masks: npt.NDArray) -> Color:
    """Return a picture with a line around the objects of every mask (C, Y, X); the first channel's lie on top."""
    colors = (STYLES["annotated"].color,) if len(masks) == 1 else CHANNEL_COLORS
    for channel in reversed(range(len(masks))):
        picture = outlined(picture, masks[channel], colors[channel % len(colors)])
    return picture


def stacked(pictures: list[Color], axis: int) -> Color:
    """Join pictures (height, width, 3) below one another (axis 0) or side by side (axis 1), with a gap."""
    gap_shape = list(pictures[0].shape)
    gap_shape[axis] = GAP
    gap = np.full(gap_shape, 255, np.uint8)
    parts = [part for picture in pictures for part in (picture, gap)]
    return np.concatenate(parts[:-1], axis=axis)


def write_png(path: Path, picture: Color) -> None:
    """Write an RGB picture (height, width, 3), whole or not at all.

    Raises:
        UserError: If it cannot be written.
    """
    _, png = cv2.imencode(".png", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
    write_bytes(path, png.tobytes())
