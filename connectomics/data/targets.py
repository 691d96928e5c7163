"""What the network learns from a label: ids become one byte a voxel, and later one channel a class."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from connectomics.config.data import TargetConfig
from connectomics.data.distance_target import BorderDistance
from connectomics.lookup import build, pick
from connectomics.sides import POST, PRE
from connectomics.volumes.labels import split_clefts
from connectomics.volumes.side_ids import collect_ids, find_one_sided, split_sides
from connectomics.volumes.source import Layout

BACKGROUND = 0
"""Code of voxels of no class."""

NOT_ANNOTATED = 255
"""Code of voxels that the loss ignores."""


@dataclass(frozen=True, slots=True)
class Target:
    """A kind of target: which codes its labels become, and which of them each channel holds."""

    encode: Callable[[NDArray, Layout], NDArray[np.uint8]]
    """Ids (1, Z, Y, X) and how they are meant, to codes (Z, Y, X): 0, a class from 1 to 254, or `NOT_ANNOTATED`."""
    classes: Mapping[str, tuple[int, ...]]
    """For each channel, by its name, the codes that are 1 in it."""
    remark: Callable[[Iterable[NDArray], Layout], str] | None = None
    """Parts (Z, Y, X) of a label, as ids, and how they are meant, to what a user should know of them, or ""."""

    distance: BorderDistance | None = None
    """What makes each channel of how far its voxels lie from its border, instead of 0 and 1; None keeps these."""

    @property
    def names(self) -> tuple[str, ...]:
        """What the channels are called."""
        return tuple(self.classes)

    @property
    def num_channels(self) -> int:
        """Channels of the target."""
        return len(self.classes)

    @property
    def foreground(self) -> tuple[int, ...]:
        """Channels that show something: all but one for the background."""
        return tuple(i for i, members in enumerate(self.classes.values()) if BACKGROUND not in members)

    @property
    def is_exclusive(self) -> bool:
        """Whether a voxel is 1 in exactly one channel, the background's among them."""
        return len(self.foreground) < self.num_channels

    def channels(self, codes: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return the channels of codes (Z, Y, X): float32, (C, Z, Y, X), 0 or 1."""
        target = np.empty((self.num_channels, *codes.shape), np.float32)
        rows = np.ascontiguousarray(codes).reshape(codes.shape[0], -1)
        for channel, members in zip(target, self.classes.values(), strict=True):
            table = np.zeros(256, np.float32)
            table[list(members)] = 1
            cv2.LUT(rows, table, dst=channel.reshape(rows.shape))
        return target


def encode_clefts(ids: NDArray, layout: Layout) -> NDArray[np.uint8]:
    """Return 1 for cleft voxels, `NOT_ANNOTATED` where nobody looked, else 0; ids are (1, Z, Y, X), codes (Z, Y, X)."""
    label = split_clefts(ids[0], layout)
    codes = label.foreground.view(np.uint8)
    if label.annotated is not None:
        codes[~label.annotated] = NOT_ANNOTATED
    return codes


def encode_sides(ids: NDArray, layout: Layout) -> NDArray[np.uint8]:
    """Return `PRE` and `POST` for the sides of synapses, else 0; ids are (1, Z, Y, X), codes (Z, Y, X)."""
    return split_sides(ids[0], layout)


def remark_on_sides(slabs: Iterable[NDArray], layout: Layout) -> str:
    """Return what a user should know of the ids of a label, given in parts (Z, Y, X); "" where nothing is odd.

    That is which of them have no partner, the other side of their synapse; or that all of them are classes.

    Raises:
        VolumeError: If the ids cannot name sides.
    """
    ids = collect_ids(slabs, layout)
    one_sided = find_one_sided(ids)
    if one_sided.pre or one_sided.post:
        return f"warning: one side alone is annotated: {one_sided}"
    if ids == {PRE, POST}:
        return "only 0, 1 and 2 occur: read as classes, whose synapses are told apart by connection"
    return ""


def cleft() -> Target:
    """Return the target of clefts: one channel."""
    return Target(encode_clefts, {"cleft": (1,)})


def distance(scale_nm: float = 50.0, in_plane: bool = False) -> Target:
    """Return the target of clefts whose voxels say how far they are from the border; see `BorderDistance`.

    Args:
        scale_nm: Distance at which the target has gone most of the way to 0 or 1: tanh(1), 76 %.
        in_plane: Whether the distance is measured within each section, not in 3-D.

    Raises:
        ValueError: If the scale is not positive.
    """
    if not scale_nm > 0:
        raise ValueError(f"scale_nm is {scale_nm}; it must be more than 0")
    return Target(encode_clefts, {"cleft": (1,)}, distance=BorderDistance(float(scale_nm), bool(in_plane)))


def polarity(exclusive: bool = False) -> Target:
    """Return the target of the sides of synapses.

    Args:
        exclusive: Whether a voxel has exactly one class: background, pre or post, for a softmax. Otherwise the
            channels pre, post and union are independent, for a sigmoid each.

    Raises:
        TypeError: If it is neither true nor false.
    """
    if not isinstance(exclusive, bool):
        raise TypeError(f"exclusive is {exclusive!r}; it must be true or false")
    if exclusive:
        classes: dict[str, tuple[int, ...]] = {"background": (BACKGROUND,), "pre": (PRE,), "post": (POST,)}
    else:
        classes = {"pre": (PRE,), "post": (POST,), "union": (PRE, POST)}
    return Target(encode_sides, classes, remark_on_sides)


TARGETS: Mapping[str, Callable[..., Target]] = {
    "cleft": cleft,
    "distance": distance,
    "polarity": polarity,
}
"""`data.target.type` to what builds the target it names, from `data.target.kwargs`."""


def build_target(config: TargetConfig) -> Target:
    """Build the target of `data.target`.

    Raises:
        ConfigError: If it, or one of its arguments, is unknown.
    """
    return build(pick(TARGETS, config.type, "data.target.type"), config.kwargs, config.type, "data.target.kwargs")
