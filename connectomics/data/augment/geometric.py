"""Where each voxel of a patch is taken from: every geometric step composed, to be resampled once."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from math import cos, radians, sin

import cv2
import numpy as np
from numpy.typing import NDArray

from connectomics.geometry import ZYX

Matrix = tuple[tuple[float, float], tuple[float, float]]
"""A linear map of (y, x)."""


def rotation(degrees: float) -> Matrix:
    """Return the map that turns (y, x) by an angle."""
    c, s = cos(radians(degrees)), sin(radians(degrees))
    return (c, -s), (s, c)


def multiply(a: Matrix, b: Matrix) -> Matrix:
    """Return the map that applies `b`, then `a`."""
    (p, q), (r, s) = a
    (t, u), (v, w) = b
    return (p * t + q * v, p * u + q * w), (r * t + s * v, r * u + s * w)


@dataclass(frozen=True, slots=True, eq=False)
class Field:
    """A smooth displacement of (y, x), in pixels, known at nodes that are `step` pixels apart."""

    nodes: NDArray[np.float32]
    """(Y, X, 2): displacement along y and x."""
    step: float
    first: tuple[int, int] = (0, 0)
    """Pixel (y, x) on which the first node lies."""

    def at(self, linear: Matrix, offset: tuple[float, float], shape: tuple[int, int]) -> NDArray[np.float32]:
        """Return the displacement at the points `linear @ (y, x) + offset`, (Y, X, 2).

        The points y = 0 .. shape - 1 run over the pixels of a section; before the first nodes
        and beyond the last ones the displacement stays what it is there.
        """
        (yy, yx), (xy, xx) = linear
        y, x = offset[0] - self.first[0], offset[1] - self.first[1]
        affine = np.array([[xx, xy, x], [yx, yy, y]]) / self.step
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        moved = cv2.warpAffine(self.nodes, affine, shape[::-1], flags=flags, borderMode=cv2.BORDER_REPLICATE)
        return np.asarray(moved, np.float32)


@dataclass(frozen=True, slots=True)
class Jump:
    """Sections that lie displaced against the others: `first` and all up to `stop` (not included)."""

    first: int
    stop: int
    shift: tuple[int, int] = (0, 0)
    """By how many pixels their content is moved along (y, x)."""
    angle: float = 0.0
    """By how many degrees it is turned about the centre of the patch."""


@dataclass(frozen=True, slots=True, eq=False)
class SectionMap:
    """Where the pixels of some sections of a patch are taken from."""

    sections: NDArray[np.intp]
    """Which sections of the patch, counted from 0."""
    y: NDArray[np.float32]
    """(Y, X): row in the volume's section, counted from the first row of the patch's position."""
    x: NDArray[np.float32]
    """(Y, X): column, likewise."""


@dataclass(frozen=True, slots=True, eq=False)
class Geometry:
    """A transform of a patch, as the position in the volume that each of its voxels shows.

    A voxel at (y, x) of a section, counted from the centre, is followed back through the steps: the jump is undone,
    then the elastic field, then rotation and flip by `linear`.
    """

    shape: ZYX
    """Extent of the patch along (z, y, x), in voxels."""
    flip_z: bool = False
    linear: Matrix = ((1.0, 0.0), (0.0, 1.0))
    """From (y, x) in the patch to (y, x) in the volume, about the centre."""
    field: Field | None = None
    """Added to (y, x) of the patch before `linear` is applied."""
    jump: Jump | None = None

    @property
    def keeps_place(self) -> bool:
        """Whether every pixel of a section shows what lies at its own position."""
        return self.linear == ((1.0, 0.0), (0.0, 1.0)) and self.field is None and self.jump is None

    def turned(self, step: Matrix) -> Geometry:
        """Return the geometry with a further linear step, given as the map from its result to what it is applied to."""
        return replace(self, linear=multiply(self.linear, step))

    def grown(self, margin: ZYX) -> Geometry:
        """Return the geometry of a patch that reaches further by a margin on each side, and is the same within."""
        depth, height, width = (size + 2 * around for size, around in zip(self.shape, margin, strict=True))
        field, jump = self.field, self.jump
        if field is not None:
            field = replace(field, first=(field.first[0] + margin[1], field.first[1] + margin[2]))
        if jump is not None:
            stop = depth if jump.stop == self.shape[0] else jump.stop + margin[0]
            jump = replace(jump, first=jump.first + margin[0], stop=stop)
        return replace(self, shape=(depth, height, width), field=field, jump=jump)

    def section_maps(self) -> list[SectionMap]:
        """Return one map for each group of sections that share it: one, or two where there is a jump."""
        depth, jump = np.arange(self.shape[0]), self.jump
        if jump is None:
            return [self._map(depth, Jump(0, 0))]
        moved = (depth >= jump.first) & (depth < jump.stop)
        return [self._map(depth[~moved], Jump(0, 0)), self._map(depth[moved], jump)]

    def _map(self, sections: NDArray[np.intp], jump: Jump) -> SectionMap:
        height, width = self.shape[1:]
        centre = (height - 1) / 2, (width - 1) / 2
        back = rotation(-jump.angle)
        # (y, x) from the centre, jump undone: back @ (pixel - centre - shift)
        start = _apply(back, (-centre[0] - jump.shift[0], -centre[1] - jump.shift[1]))
        whole = multiply(self.linear, back)
        offset = _apply(self.linear, start)
        y, x = _affine(whole, (offset[0] + centre[0], offset[1] + centre[1]), (height, width))
        if self.field is not None:
            moved = self.field.at(back, (start[0] + centre[0], start[1] + centre[1]), (height, width))
            (yy, yx), (xy, xx) = self.linear
            y += np.float32(yy) * moved[..., 0] + np.float32(yx) * moved[..., 1]
            x += np.float32(xy) * moved[..., 0] + np.float32(xx) * moved[..., 1]
        return SectionMap(sections, y, x)


@dataclass(frozen=True, slots=True)
class GeometricStep(ABC):
    """An augmentation that moves image and target together."""

    @abstractmethod
    def __call__(self, geometry: Geometry, rng: np.random.Generator) -> Geometry:
        """Return the geometry with this step added; the same object when the step does not happen."""


def _apply(matrix: Matrix, point: tuple[float, float]) -> tuple[float, float]:
    (yy, yx), (xy, xx) = matrix
    return yy * point[0] + yx * point[1], xy * point[0] + xx * point[1]


def _affine(
    matrix: Matrix, offset: tuple[float, float], shape: tuple[int, int]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return `matrix @ (y, x) + offset` for the pixels of a section, each (Y, X)."""
    (yy, yx), (xy, xx) = matrix
    rows, columns = np.arange(shape[0]), np.arange(shape[1])
    y = np.add.outer((yy * rows + offset[0]).astype(np.float32), (yx * columns).astype(np.float32))
    x = np.add.outer((xy * rows + offset[1]).astype(np.float32), (xx * columns).astype(np.float32))
    return y, x
