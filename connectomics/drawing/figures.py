"""Pictures of sections: raw, outlines of masks, probabilities."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from connectomics.drawing.arrows import place_arrow
from connectomics.files import write_bytes

Gray = npt.NDArray[np.uint8]
Color = npt.NDArray[np.uint8]

TRUE_COLOR = (0, 200, 0)
FALSE_COLOR = (230, 30, 30)
MISSED_COLOR = (40, 120, 255)
TURNED_COLOR = (255, 150, 0)
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


def outlined(section: Gray, mask: npt.NDArray, color: tuple[int, int, int]) -> Color:
    """Return a section (Y, X) as RGB (Y, X, 3) with a line of one pixel around each object of `mask`, outside it."""
    picture = section if section.ndim == 3 else np.repeat(section[..., np.newaxis], 3, axis=-1)
    inside = (mask > 0).astype(np.uint8)
    line = cv2.dilate(inside, np.ones((3, 3), np.uint8)) > inside
    picture = picture.copy()
    picture[line] = color
    return picture


def heat(probability: npt.NDArray) -> Color:
    """Return probabilities (Y, X) as RGB, dark to bright."""
    colored = cv2.applyColorMap(to_gray(probability), cv2.COLORMAP_INFERNO)
    return np.asarray(cv2.cvtColor(colored, cv2.COLOR_BGR2RGB), np.uint8)


def compared(section: Gray, predicted: npt.NDArray, truth: npt.NDArray | None, parts: int = 1) -> Color:
    """Return a section (Y, X) with predicted and annotated objects outlined: found, invented, missed.

    A predicted object that touches an annotated one is green, another red; an annotated object that no prediction
    touches is blue. Without annotation all predictions are green. Objects in several parts are tinted in the parts'
    colours, and an arrow leads from the first to the last; they are orange where most of the touching pixels are of
    another part.

    Args:
        section: Grey values.
        predicted: Not 0 where something was found: ids, of which object k of n parts has n (k - 1) + 1 to n k.
        truth: The same of the annotation.
        parts: Number of parts that an object may consist of.
    """
    if truth is None:
        return outlined(_parted(section, predicted, parts), predicted, TRUE_COLOR)
    found, invented = _touching(predicted, truth)
    _, missed = _touching(truth, predicted)
    picture = _parted(_parted(section, predicted, parts), truth * missed, parts)
    turned = _turned(found, predicted, truth, parts)
    for mask, color in ((found & ~turned, TRUE_COLOR), (turned, TURNED_COLOR), (invented, FALSE_COLOR)):
        picture = outlined(picture, mask, color)
    return outlined(picture, missed, MISSED_COLOR)


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


def _turned(found: npt.NDArray, predicted: npt.NDArray, truth: npt.NDArray, parts: int) -> npt.NDArray:
    """Return the objects of a mask (Y, X) most of whose annotated pixels are of another part than predicted."""
    if parts == 1:
        return np.zeros_like(found)
    count, labels = cv2.connectedComponents(found.astype(np.uint8))
    both = found & (truth > 0)
    same = both & (predicted % parts == truth % parts)
    shared, right = (np.bincount(labels[mask], minlength=count) for mask in (both, same))
    return (2 * right < shared)[labels]


def _touching(objects: npt.NDArray, others: npt.NDArray) -> tuple[npt.NDArray, npt.NDArray]:
    """Split a mask (Y, X) into the objects that touch `others` and those that do not."""
    count, labels = cv2.connectedComponents((objects > 0).astype(np.uint8))
    touches = np.zeros(count, bool)
    touches[np.unique(labels[others > 0])] = True
    touches[0] = False
    touching = touches[labels]
    return touching, (objects > 0) & ~touching


def sections_side_by_side(image: npt.NDArray, label: npt.NDArray, probability: npt.NDArray, num_sections: int) -> Color:
    """Return one picture of a patch: a column for each of some sections; raw, raw with label, and probability below.

    Args:
        image: Grey values in [0, 1], (Z, Y, X).
        label: Foreground where more than 0.5, (C, Z, Y, X); each of several channels has a colour of `CHANNEL_COLORS`.
        probability: Probabilities in [0, 1], (C, Z, Y, X); each channel is a row.
        num_sections: Columns, evenly spread over the depth.

    Returns:
        RGB, (height, width, 3).
    """
    depth = image.shape[0]
    chosen = np.unique(np.linspace(0, depth - 1, min(num_sections, depth)).round().astype(int))
    columns = []
    for z in chosen:
        raw = np.repeat(to_gray(image[z])[..., np.newaxis], 3, axis=-1)
        columns.append(stacked([raw, _all_outlined(raw, label[:, z] > 0.5), *map(heat, probability[:, z])], axis=0))
    return stacked(columns, axis=1)


def _all_outlined(picture: Color, masks: npt.NDArray) -> Color:
    """Return a picture with a line around the objects of every mask (C, Y, X); the first channel's lie on top."""
    colors = (TRUE_COLOR,) if len(masks) == 1 else CHANNEL_COLORS
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
