"""One row for each synapse that has sides: where they lie, how large and how sure they are, and which way it points."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from connectomics.geometry import Spacing


@dataclass(frozen=True, slots=True)
class SidedSynapse:
    """A synapse with two sides, or one; what a missing side would have is None."""

    id: int
    """Its number k; the ids of its sides are 2k - 1 and 2k."""
    sides: str
    """"both", or the only one: "pre" or "post"."""
    pre_voxels: int
    post_voxels: int
    pre_nm: Spacing | None
    """Centre of mass of the pre-synaptic side along (z, y, x)."""
    post_nm: Spacing | None
    pre_probability: float | None
    """Mean probability of being pre-synaptic, over that side."""
    post_probability: float | None
    direction: Spacing | None
    """Unit vector along (z, y, x) from the pre- to the post-synaptic centre, in space and not in voxels."""
    touches_border: bool
    """Whether it may go on beyond the volume."""


def tabulate_sides(
    ids: npt.NDArray[np.unsignedinteger],
    probability: npt.NDArray[np.float32],
    channels: tuple[int, int],
    spacing_nm: Spacing,
    offset_nm: Spacing = (0.0, 0.0, 0.0),
) -> list[SidedSynapse]:
    """Measure every synapse of a volume.

    Args:
        ids: 0, or 2k - 1 and 2k for the sides of synapse k, (Z, Y, X).
        probability: (C, Z, Y, X).
        channels: Which of them are those of pre and of post.
        spacing_nm: Voxel size along (z, y, x), in nanometres.
        offset_nm: Position of the centre of the first voxel along (z, y, x), in nanometres.

    Returns:
        The synapses by ascending number.
    """
    found = np.unique(np.concatenate([np.unique(section[section > 0]) for section in ids]))
    sums = np.zeros((5, len(found)))  # voxels; positions along z, y, x; probability
    for z, section in enumerate(ids):
        pixels = np.flatnonzero(section)
        if not len(pixels):
            continue
        side = np.searchsorted(found, section.reshape(-1)[pixels])
        is_pre = found[side] % np.uint64(2) == 1
        sure = np.where(is_pre, *(probability[channel, z].reshape(-1)[pixels] for channel in channels))
        rows, columns = np.divmod(pixels, section.shape[1])
        for total, weights in zip(
            sums, (np.ones(len(pixels)), np.full(len(pixels), z), rows, columns, sure), strict=True
        ):
            total += np.bincount(side, weights=weights, minlength=len(found))
    centres = sums[1:4] / sums[0] * np.reshape(spacing_nm, (3, 1)) + np.reshape(offset_nm, (3, 1))
    sides = {
        int(i): _Side(int(voxels), _triple(centre), float(sure / voxels))
        for i, voxels, centre, sure in zip(found, sums[0], centres.T, sums[4], strict=True)
    }
    border = _ids_at_border(ids)
    numbers = sorted({(i + 1) // 2 for i in sides})
    return [_join(k, sides.get(2 * k - 1), sides.get(2 * k), border) for k in numbers]


@dataclass(frozen=True, slots=True)
class _Side:
    voxels: int
    centre_nm: Spacing
    probability: float


def _join(number: int, pre: _Side | None, post: _Side | None, border: set[int]) -> SidedSynapse:
    """Return the synapse of a number, from its sides, one of which there is."""
    return SidedSynapse(
        id=number,
        sides="both" if pre and post else "pre" if pre else "post",
        pre_voxels=pre.voxels if pre else 0,
        post_voxels=post.voxels if post else 0,
        pre_nm=pre.centre_nm if pre else None,
        post_nm=post.centre_nm if post else None,
        pre_probability=pre.probability if pre else None,
        post_probability=post.probability if post else None,
        direction=_direction(pre.centre_nm, post.centre_nm) if pre and post else None,
        touches_border=not border.isdisjoint({2 * number - 1, 2 * number}),
    )


def _direction(start: Spacing, end: Spacing) -> Spacing | None:
    """Return the unit vector from one place to another; None where they are the same."""
    way = np.subtract(end, start)
    length = float(np.linalg.norm(way))
    return _triple(way / length) if length > 0 else None


def _ids_at_border(ids: npt.NDArray[np.unsignedinteger]) -> set[int]:
    """Return the ids that have a voxel in the first or last plane along an axis."""
    faces = [ids.take((0, -1), axis=axis) for axis in range(3)]
    return {int(i) for face in faces for i in np.unique(face)}


def _triple(values: Sequence[float] | npt.NDArray) -> Spacing:
    z, y, x = (float(value) for value in values)
    return z, y, x
