"""The pictures of a section as a page holds them: raw as JPEG, probabilities as a coarse PNG."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterable
from dataclasses import dataclass
from math import prod, sqrt

import cv2
import numpy as np
from numpy.typing import NDArray

from connectomics.geometry import ZYX

LONGEST_SIDE = 900
"""Longest side of a raw picture, in pixels; smaller sections are shown as they are."""

MAX_PIXELS = 300_000_000
"""Most pixels in all raw pictures of a page, almost three volumes of 125 sections; with more, the pictures are scaled
down."""

QUALITY = 60
"""JPEG quality; noise in micrographs takes about 0.2 bytes per pixel."""

PROBABILITY_SIDE = 450
"""Longest side of a picture of probabilities, in pixels."""

TRIED_SIDE = 640
"""Longest side of a section on the page of a tuning, in pixels."""

LEVELS = 16
"""How many levels of probability a picture shows; the lowest is transparent."""


@dataclass(frozen=True, slots=True)
class PictureSize:
    """How far sections are scaled down."""

    scale: float
    """Pixels of the raw picture per voxel, at most 1."""
    probability_scale: float
    """Pixels of the picture of probabilities per voxel, at most 1."""


def choose_size(shape: ZYX, shapes: Iterable[ZYX]) -> PictureSize:
    """Return how far the sections of one volume are scaled down, on a page with several volumes."""
    longest = max(shape[1:])
    budget = sqrt(MAX_PIXELS / max(1, sum(prod(one) * _fit(one, LONGEST_SIDE) ** 2 for one in shapes)))
    scale = _fit(shape, LONGEST_SIDE) * min(1.0, budget)
    return PictureSize(max(scale, 1 / longest), min(scale, _fit(shape, PROBABILITY_SIDE)))


def choose_tried_size(shape: tuple[int, ...]) -> PictureSize:
    """Return how far a section (Y, X) of the page of a tuning is scaled down."""
    scale = min(1.0, TRIED_SIDE / max(shape))
    return PictureSize(scale, scale)


def encode_gray(section: NDArray[np.uint8], size: PictureSize) -> str:
    """Return grey values (Y, X) as a JPEG in base64."""
    return _encode(".jpg", _scaled(section, size.scale), [cv2.IMWRITE_JPEG_QUALITY, QUALITY])


def encode_probability(section: NDArray[np.float32], size: PictureSize) -> str:
    """Return probabilities (Y, X) as a PNG of `LEVELS` grey values in base64."""
    small = _scaled(np.clip(section, 0, 1), size.probability_scale)
    levels = np.floor(np.nan_to_num(small) * (LEVELS - 1) + np.float32(0.5))
    return _encode(".png", (levels * (255 // (LEVELS - 1))).astype(np.uint8), [cv2.IMWRITE_PNG_COMPRESSION, 6])


def encode_levels(section: NDArray[np.uint8], size: PictureSize) -> str:
    """Return levels (Y, X) as a PNG in base64; where it is scaled down, each pixel is one of its voxels."""
    small = _scaled(section, size.probability_scale, cv2.INTER_NEAREST)
    return _encode(".png", small, [cv2.IMWRITE_PNG_COMPRESSION, 9])


def _fit(shape: ZYX, side: int) -> float:
    return min(1.0, side / max(shape[1:]))


def _scaled(section: NDArray, scale: float, how: int = cv2.INTER_AREA) -> NDArray:
    """Return a section, each pixel the mean of the voxels that it stands for."""
    if scale >= 1:
        return section
    height, width = (max(1, round(extent * scale)) for extent in section.shape)
    return cv2.resize(section, (width, height), interpolation=how)


def _encode(suffix: str, picture: NDArray[np.uint8], options: list[int]) -> str:
    done, coded = cv2.imencode(suffix, picture, options)
    assert done  # arrays of bytes always can be coded
    return b64encode(coded.tobytes()).decode("ascii")
