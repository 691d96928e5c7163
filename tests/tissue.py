"""Synthetic sections whose shifts are known, and a challenge volume made of them."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import h5py
import numpy as np
from numpy.typing import NDArray

from connectomics.geometry import ZYX
from connectomics.volumes.labels import CREMI_BACKGROUND, EXCLUDED

SPACING = (40.0, 4.0, 4.0)


def draw_tissue(
    shape: ZYX, shifts: NDArray[np.int64], rng: np.random.Generator, cell: float = 8.0, stay: float = 0.998
) -> Iterator[NDArray[np.uint8]]:
    """Yield sections (Y, X) of tissue that changes from one to the next, each imaged `shifts[z]` pixels off.

    Membranes are where one of two smooth random fields is near 0. The fields wander without a direction, so that what
    two sections have in common lies, but for chance, where the shifts say.

    Args:
        shape: Number and extent of the sections.
        shifts: Pixels that the tissue of each section lies too far down and right, (Z, 2).
        rng: Source of randomness.
        cell: Smoothness of the fields, in pixels; cells are some four times as wide.
        stay: Correlation of a field with that of the section before.
    """
    low, high = shifts.min(0), shifts.max(0)
    extent = [n + int(b - a) for n, a, b in zip(shape[1:], low, high, strict=True)]
    fields = [_smooth(extent, cell, rng) for _ in range(2)]
    for shift in shifts:
        fields = [stay * field + np.sqrt(1 - stay**2) * _smooth(extent, cell, rng) for field in fields]
        y, x = (high - shift).tolist()
        walls, dense = (_enlarged(field, extent)[y : y + shape[1], x : x + shape[2]] for field in fields)
        clean = 200 - 110 * np.exp(-((walls / 0.15) ** 2)) - 40 * np.exp(-((dense / 0.1) ** 2))
        yield (clean + rng.normal(0, 12, clean.shape)).clip(0, 255).astype(np.uint8)


def _smooth(extent: list[int], cell: float, rng: np.random.Generator) -> NDArray[np.float32]:
    """Return a smooth random field at a quarter of the resolution."""
    noise = rng.standard_normal([n // 4 + 2 for n in extent], dtype=np.float32)
    field = cv2.GaussianBlur(noise, (0, 0), cell / 4)
    return field / field.std()


def _enlarged(field: NDArray[np.float32], extent: list[int]) -> NDArray[np.float32]:
    height, width = (4 * n for n in field.shape)
    return cv2.resize(field, (width, height), interpolation=cv2.INTER_CUBIC)[: extent[0], : extent[1]]


def draw_shifts(depth: int, jump: int, drift: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Return shifts with a drift along x over the whole stack, jumps that last, single ones, and trembling."""
    shifts = rng.normal(0, 1, (depth, 2))
    shifts[:, 1] += np.linspace(0, drift, depth)
    places = rng.permutation(np.arange(4, depth - 4))
    for z in places[: depth // 16]:
        shifts[z:] += rng.uniform(-jump, jump, 2)
    for z in places[-(depth // 24 + 1) :]:
        shifts[z] += rng.choice([-jump, jump], 2)
    return np.rint(shifts).astype(np.int64)


@dataclass(frozen=True, slots=True, eq=False)
class Challenge:
    """A padded challenge volume, scaled down, and what is known about it."""

    path: Path
    shifts: NDArray[np.int64]
    bad: tuple[int, ...]
    labels: NDArray[np.uint64]
    """Of the box, as they lie in the file."""
    start: ZYX
    """Where the box begins."""


def write_challenge(
    path: Path, rng: np.random.Generator, shape: ZYX = (40, 320, 320),
    box: tuple[ZYX, ZYX] = ((8, 96, 96), (25, 128, 128)), jump: int = 20, drift: int = 100,
    labelled: bool = True, cell: float = 8.0,
) -> Challenge:  # fmt: skip
    """Write a padded volume as the challenge does: raw, and the clefts of a box in its middle.

    Three sections are bad (noise, blank, another place altogether), one has a crack. A cleft has the id 0, and some
    voxels are left out by the challenge. Only a few sections are in memory at a time.
    """
    start, extent = box
    shifts = draw_shifts(shape[0], jump, drift, rng)
    bad = (start[0] + 3, start[0] + 13, start[0] + 14)
    labels = draw_labels(extent, rng)
    with h5py.File(path, "w") as file:
        file.attrs["file_format"] = "0.2"
        raw = file.create_dataset("volumes/raw", shape, np.uint8, chunks=(8, 64, 64), compression="gzip")
        raw.attrs["resolution"] = SPACING
        for z, slab in draw_slabs(shape, shifts, bad, start[0] + 8, rng, cell):
            raw[z : z + len(slab)] = slab
        if labelled:
            clefts = file.create_dataset("volumes/labels/clefts", data=labels, chunks=(8, 64, 64), compression="gzip")
            clefts.attrs["resolution"] = SPACING
            clefts.attrs["offset"] = np.multiply(start, SPACING)
    return Challenge(path, shifts, bad, labels, start)


def draw_slabs(
    shape: ZYX, shifts: NDArray[np.int64], bad: tuple[int, int, int], crack: int, rng: np.random.Generator, cell: float
) -> Iterator[tuple[int, NDArray[np.uint8]]]:
    """Yield the sections of a challenge volume, eight at a time, with the number of the first."""
    slab: list[NDArray[np.uint8]] = []
    for z, section in enumerate(draw_tissue(shape, shifts, rng, cell)):
        if z == bad[0]:
            section = rng.normal(180, 6, section.shape).clip(0, 255).astype(np.uint8)
        elif z == bad[1]:
            section = np.full_like(section, 128)
        elif z == bad[2]:
            section = section[::-1, ::-1]
        elif z == crack:
            section = section.copy()
            section[:, shape[2] // 2 : shape[2] // 2 + shape[2] // 16] = 10
        slab.append(section)
        if len(slab) == 8 or z == shape[0] - 1:
            yield z + 1 - len(slab), np.stack(slab)
            slab = []


def draw_labels(extent: ZYX, rng: np.random.Generator) -> NDArray[np.uint64]:
    """Return labels as they lie in a challenge file: boxes for clefts, one with the id 0, and some voxels left out."""
    labels = np.full(extent, CREMI_BACKGROUND, np.uint64)
    for number in range(30):
        z, y, x = (int(rng.integers(0, n - m)) for n, m in zip(extent, (3, 6, 14), strict=True))
        labels[z : z + 3, y : y + 6, x : x + 14] = number
    labels[0, :5] = EXCLUDED
    return labels
