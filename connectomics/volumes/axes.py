"""Which axis of a stored array is channel, z, y and x."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from connectomics.errors import VolumeError
from connectomics.geometry import ZYX, Box, Spacing

LETTERS: Mapping[str, str] = {"channel": "c", "time": "t", "sample": "s", "samples": "s", "ch": "c", "depth": "z",
                              "height": "y", "width": "x"}  # fmt: skip
"""Letters of axes that a file names by a word."""

COLOURS = (3, 4)
"""Numbers of channels of an image in colour; as the last axis no volume has so few voxels."""


@dataclass(frozen=True, slots=True)
class Axes:
    """How a stored array becomes (channel, z, y, x)."""

    stored: tuple[int, ...]
    """Extent of the array along its own axes."""
    places: tuple[int | None, int | None, int | None, int | None]
    """Which axes of the array are c, z, y and x; None for one that it lacks. All other axes have length one."""
    remark: str = ""
    """What was guessed about the axes."""

    @property
    def channels(self) -> int:
        """Number of channels."""
        return 1 if self.places[0] is None else self.stored[self.places[0]]

    @property
    def shape(self) -> ZYX:
        """Extent along (z, y, x)."""
        z, y, x = (1 if place is None else self.stored[place] for place in self.places[1:])
        return z, y, x

    def extent(self, stored: Sequence[int] | None) -> ZYX | None:
        """Return an extent along (z, y, x) from one along the axes of the array; None where there is none."""
        if stored is None:
            return None
        z, y, x = (1 if place is None else int(stored[place]) for place in self.places[1:])
        return z, y, x

    def index(self, box: Box) -> tuple[slice | int, ...]:
        """Return which part of the array `box` is, with every channel."""
        index: list[slice | int] = [0] * len(self.stored)
        for place, part in zip(self.places, (slice(None), *box.slices), strict=True):
            if place is not None:
                index[place] = part
        return tuple(index)

    def arrange(self, voxels: npt.NDArray) -> npt.NDArray:
        """Return what was read with `index` as (C, Z, Y, X)."""
        kept = sorted(place for place in self.places if place is not None)
        order = [kept.index(place) for place in self.places if place is not None]
        missing = tuple(i for i, place in enumerate(self.places) if place is None)
        return np.expand_dims(np.transpose(voxels, order), missing)

    def spatial(self, values: Sequence[float]) -> Spacing | None:
        """Return the values of z, y and x among one for each stored axis, or one for each stored axis of space.

        None where there are as many values as neither of them.
        """
        places = [place for place in self.places[1:] if place is not None]
        if len(values) == len(self.stored) and len(places) == 3:
            z, y, x = (float(values[place]) for place in places)
            return z, y, x
        if len(values) == 3 == len(places):
            order = sorted(places)
            z, y, x = (float(values[order.index(place)]) for place in places)
            return z, y, x
        return (float(values[0]), float(values[1]), float(values[2])) if len(values) == 3 else None


def letters_of(names: Sequence[object] | str) -> str:
    """Return names of axes as letters; what is not known is "?"."""
    letters = []
    for name in names:
        text = (name.decode("utf-8", "replace") if isinstance(name, bytes) else str(name)).strip().lower().rstrip("^")
        letters.append(text if len(text) == 1 else LETTERS.get(text, "?"))
    return "".join(letters)


def stated_axes(letters: str, shape: Sequence[int], location: str) -> Axes:
    """Return the axes that a file states; those of length one may be anything.

    Args:
        letters: One for each axis of the array; c, z, y, x, and others.
        shape: Shape of the array.
        location: Name of the array, for the message.

    Raises:
        VolumeError: If there is an axis that no volume has, or one of y and x is missing or there twice.
    """
    long = {letter: n for letter, n in zip(letters, shape, strict=True) if n != 1}
    twice = [letter for letter in "czyx" if letters.count(letter) > 1]
    foreign = [letter for letter in long if letter not in "czyx"]
    named = ", ".join(f"{letter}: {n}" for letter, n in zip(letters, shape, strict=True))
    if "s" in foreign and long["s"] in (3, 4):
        raise VolumeError(f"{location} is in colour (axes {named}); convert it to grey values, such as 8-bit in Fiji")
    if twice or foreign or "y" not in letters or "x" not in letters:
        hint = "save one time point" if "t" in foreign else "save it with the axes (z, y, x) or (channel, z, y, x)"
        if "t" in foreign and long.get("z", 1) == 1:
            hint = "where these are sections, state them as z (Fiji: Image > Properties, slices instead of frames)"
        raise VolumeError(f"{location} has the axes {named}; a volume has z, y, x, and c for channels: {hint}")
    z, y, x = (letters.index(letter) if letter in letters else None for letter in "zyx")
    c = letters.index("c") if long.get("c", 1) != 1 else None
    return Axes(tuple(shape), (c, z, y, x))


def usual_axes(shape: Sequence[int], location: str) -> Axes:
    """Return the axes of an array that states none: (z, y, x), or (channel, z, y, x).

    Raises:
        VolumeError: If it has not as many.
    """
    n = len(shape)
    if n < 3 or min(shape) < 1 or any(length != 1 for length in shape[:-4]):
        raise VolumeError(f"{location} has shape {tuple(shape)}; a volume has axes (z, y, x) or (channel, z, y, x)")
    if n > 3 and shape[-1] in COLOURS and shape[n - 4] > max(COLOURS) and shape[-2] > max(COLOURS):
        raise VolumeError(
            f"{location} has shape {tuple(shape)}, which ends in {shape[-1]} as colours do; save its grey values, "
            "with the axes (z, y, x)"
        )
    channels = n - 4 if n > 3 and shape[n - 4] != 1 else None
    remark = "" if channels is None else f"{tuple(shape)} is taken as (channel, z, y, x); its axes are not stated"
    return Axes(tuple(shape), (channels, n - 3, n - 2, n - 1), remark)
