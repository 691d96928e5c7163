"""What the ids of a polarity label mean: synapse k has the pre-synaptic side 2k - 1 and the post-synaptic side 2k."""

from __future__ import annotations

from collections.abc import Iterable, Set
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from connectomics.errors import VolumeError
from connectomics.volumes.labels import split_clefts
from connectomics.volumes.source import Layout

MOST_NAMED = 10
"""How many ids a warning names one by one."""


def split_sides(ids: NDArray, layout: Layout = "main") -> NDArray[np.uint8]:
    """Tell the two sides of synapses and the background apart, before any cast.

    A label of classes, 0, 1 and 2, means the same voxel by voxel.

    Args:
        ids: Labels as they are stored, (Z, Y, X).
        layout: How the ids are meant; only "main", where 0 is the background, can hold sides.

    Returns:
        0 where there is no synapse, `PRE` where the id is odd, `POST` where it is even.

    Raises:
        VolumeError: If the ids are of a type, layout or value that cannot name sides.
    """
    if layout != "main":
        raise VolumeError(
            "the label lies where CREMI challenge files keep their clefts; those ids name no sides. A polarity label "
            "has 0 for the background, 2k - 1 for the pre- and 2k for the post-synaptic side of synapse k"
        )
    if ids.dtype.kind == "b":
        raise VolumeError("the label is bool; it cannot tell the pre- from the post-synaptic side")
    sides = split_clefts(ids, layout).foreground.view(np.uint8)  # 1 for every synapse
    for section, out in zip(ids, sides, strict=True):
        np.left_shift(out, section % 2 == 0, out=out, casting="unsafe")
    return sides


@dataclass(frozen=True, slots=True)
class OneSided:
    """Synapses of a label of which only one side is annotated, by the ids of that side, ascending."""

    pre: tuple[int, ...]
    """Odd ids that have no even partner."""
    post: tuple[int, ...]
    """Even ids that have no odd partner."""

    def __str__(self) -> str:
        """Name the ids and the partners that they lack."""
        sides = {"pre-synaptic": (self.pre, 1), "post-synaptic": (self.post, -1)}
        parts = [
            f"{name} {'id' if len(ids) == 1 else 'ids'} {_listed(ids)} without "
            f"{'its partner' if len(ids) == 1 else 'their partners'} {_listed(tuple(i + step for i in ids))}"
            for name, (ids, step) in sides.items()
            if ids
        ]
        return " and ".join(parts)


def collect_ids(slabs: Iterable[NDArray], layout: Layout = "main") -> set[int]:
    """Return the ids of a label, all but the background.

    Args:
        slabs: The label in parts, (Z, Y, X) each, as it is stored.
        layout: How the ids are meant.

    Raises:
        VolumeError: If the ids cannot name sides, as `split_sides` says.
    """
    found: set[int] = set()
    for slab in slabs:
        for section, sides in zip(slab, split_sides(slab, layout), strict=True):
            found.update(np.unique(section[sides != 0]).tolist())
    return found


def find_one_sided(ids: Set[int]) -> OneSided:
    """Find the ids whose partner is not among them."""
    pre = sorted(i for i in ids if i % 2 == 1 and i + 1 not in ids)
    post = sorted(i for i in ids if i % 2 == 0 and i - 1 not in ids)
    return OneSided(tuple(pre), tuple(post))


def _listed(ids: tuple[int, ...]) -> str:
    more = f" and {len(ids) - MOST_NAMED} more" if len(ids) > MOST_NAMED else ""
    return ", ".join(map(str, ids[:MOST_NAMED])) + more
