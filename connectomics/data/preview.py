"""A contact sheet: patches before and after each augmentation, the target outlined, for a person to judge."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import fields, replace
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from connectomics.data.augment import Augmentation, Step
from connectomics.data.augment.image_step import ImageStep
from connectomics.data.datamodule import VolumesDataModule
from connectomics.data.datasets import TrainingPatches
from connectomics.data.patch import Patch
from connectomics.files import write_bytes

Picture = NDArray[np.uint8]
"""(Y, X, 3), blue first."""

OUTLINE = (0, 165, 255)
CHANNEL_OUTLINES = ((220, 50, 255), (255, 225, 0), (0, 200, 255))
"""Outline colours of the channels of a target that has several, in their order: magenta, cyan, yellow."""
NOT_ANNOTATED = (200, 90, 60)
MARK = (255, 200, 0)
GAP = 6
TITLE_HEIGHT = 20
FONT_SCALE = 0.45
PROFILE_HEIGHT = 96
"""About how high the cut along z is drawn, in pixels."""


def write_preview(data: VolumesDataModule, count: int, path: Path) -> None:
    """Write a contact sheet of `count` training patches as a PNG file.

    Args:
        data: Its training volumes are opened, and read where they are to be held in memory.
        count: Patches, one in each row.
        path: Where to; its folder is made.

    Raises:
        UserError: If a volume cannot be used, or the file cannot be written.
    """
    _, png = cv2.imencode(".png", draw_sheet(data.training_patches(), count))
    write_bytes(path, png.tobytes())


def draw_sheet(training: TrainingPatches, count: int) -> Picture:
    """Draw a row for each of the first `count` patches of a training.

    A row shows the patch as it is, after each enabled augmentation alone (which then always happens), and after all of
    them with their chances: what the network sees. Each cell holds a section and, below it, a cut along z through the
    row that is marked at the section's edges.
    """
    rows = [_with_gaps([_titled(title, cell) for title, cell in _cells(training, i)], axis=1) for i in range(count)]
    return _with_gaps(rows, axis=0)


def _cells(training: TrainingPatches, number: int) -> Iterator[tuple[str, Picture]]:
    """Yield title and picture of each cell of a row."""
    plain = _with(training, Augmentation()).draw(number)
    foreground = list(training.cutter.target.foreground)
    area = (plain.label[foreground] > 0.5).any(axis=0).sum(axis=2)  # (Z, Y): target voxels
    section, row = int(area.sum(axis=1).argmax()), int(area.sum(axis=0).argmax())
    yield f"{number}: as it is", _cell(plain, section, row, foreground)
    steps: tuple[Step, ...] = (*training.augmentation.geometric, *training.augmentation.image)
    for step in steps:
        patch = _with(training, _alone(step)).draw(number)
        yield type(step).__name__, _cell(patch, _changed_section(plain, patch, section), row, foreground)
    yield "all, each with its chance", _cell(training.draw(number), section, row, foreground)


def _with(training: TrainingPatches, augmentation: Augmentation) -> TrainingPatches:
    """Return the same patches with another augmentation."""
    return TrainingPatches(training.cutter, training.sampler, augmentation, training.shape, training.seed)


def _alone(step: Step) -> Augmentation:
    """Return an augmentation of one step that always happens."""
    certain = replace(step, **{f.name: 1.0 for f in fields(step) if f.name.endswith("prob")})
    return Augmentation(image=(certain,)) if isinstance(certain, ImageStep) else Augmentation(geometric=(certain,))


def _changed_section(before: Patch, after: Patch, wanted: int) -> int:
    """Return the wanted section where it changed, else the one that changed most."""
    change = np.abs(after.image - before.image).mean(axis=(0, 2, 3))
    return wanted if change[wanted] > 0 else int(change.argmax())


def _cell(patch: Patch, section: int, row: int, foreground: Sequence[int]) -> Picture:
    image, target, valid = patch.image[0], patch.label[foreground] > 0.5, patch.valid[0]  # (Z, Y, X), (C, Z, Y, X)
    plane = _drawn(image[section], target[:, section], valid[section], thickness=1)
    plane[row, :6] = plane[row, -6:] = MARK
    profile = _drawn(image[:, row], target[:, :, row], valid[:, row], thickness=max(1, PROFILE_HEIGHT // len(image)))
    return _with_gaps([plane, profile], axis=0, gap=2)


def _drawn(image: NDArray[np.float32], target: NDArray, valid: NDArray, thickness: int) -> Picture:
    """Return a grey picture, each row `thickness` pixels high, what does not count tinted.

    The channels of the target (C, Y, X) are outlined, the first one on top.
    """
    image, target, valid = (np.repeat(part, thickness, axis=-2) for part in (image, target, valid))
    grey = (np.clip(image, 0, 1) * 255).astype(np.uint8)
    picture = np.asarray(cv2.cvtColor(grey, cv2.COLOR_GRAY2BGR), np.uint8)
    picture[~valid] = picture[~valid] // 2 + np.array(NOT_ANNOTATED, np.uint8) // 2
    colors = (OUTLINE,) if len(target) == 1 else CHANNEL_OUTLINES
    for channel in reversed(range(len(target))):
        rims, _ = cv2.findContours(target[channel].astype(np.uint8), cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
        cv2.drawContours(picture, rims, -1, colors[channel % len(colors)], 1)
    return picture


def _titled(title: str, cell: Picture) -> Picture:
    strip = np.zeros((TITLE_HEIGHT, cell.shape[1], 3), np.uint8)
    (width, _), _ = cv2.getTextSize(title, cv2.FONT_HERSHEY_SIMPLEX, FONT_SCALE, 1)
    scale = FONT_SCALE * min(1.0, (cell.shape[1] - 8) / width)  # a long title is written smaller, not cut off
    cv2.putText(strip, title, (4, TITLE_HEIGHT - 6), cv2.FONT_HERSHEY_SIMPLEX, scale, (255, 255, 255), 1, cv2.LINE_AA)
    return np.concatenate([strip, cell])


def _with_gaps(pictures: list[Picture], axis: int, gap: int = GAP) -> Picture:
    """Join pictures along an axis, black lines between them."""
    shape = list(pictures[0].shape)
    shape[axis] = gap
    line = np.zeros(shape, np.uint8)
    return np.concatenate([part for picture in pictures for part in (picture, line)], axis=axis)
