"""What OME-Zarr 0.5 says of a volume at several resolutions, each half as fine in the plane as the one before."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from connectomics.geometry import Spacing

VERSION = "0.5"


def describe_levels(
    name: str, axes: Sequence[str], levels: int, spacing_nm: Spacing, offset_nm: Spacing, is_label: bool
) -> dict[str, Any]:
    """Return the attribute `ome` of a group whose arrays are called "0", "1" and so on, the finest first.

    Args:
        name: What the volume is called.
        axes: "z", "y", "x", with a "c" in front where there are channels.
        levels: How many arrays there are.
        spacing_nm: Voxel size of the finest along (z, y, x), in nanometres.
        offset_nm: Where the centre of its first voxel lies.
        is_label: Whether a voxel of a coarser level is the first of four, and not their mean.
    """
    of_channels = [1.0] * (len(axes) - 3)
    z, y, x = (float(s) for s in spacing_nm)
    datasets = []
    for level in range(levels):
        shift = level_shift(level, spacing_nm, is_label)
        offset = [float(a) + b for a, b in zip(offset_nm, shift, strict=True)]
        steps = [
            {"type": "scale", "scale": [*of_channels, z, y * 2**level, x * 2**level]},
            {"type": "translation", "translation": [*(0.0 for _ in of_channels), *offset]},
        ]
        datasets.append({"path": str(level), "coordinateTransformations": steps})
    stated = [{"name": axis, "type": "channel"} if axis == "c" else
              {"name": axis, "type": "space", "unit": "nanometer"} for axis in axes]  # fmt: skip
    scale = {"name": name, "axes": stated, "datasets": datasets, "type": "nearest" if is_label else "mean"}
    return {"version": VERSION, "multiscales": [scale]}


def level_shift(level: int, spacing_nm: Spacing, is_label: bool) -> Spacing:
    """Return how far the centre of the first voxel of a level lies from that of the finest one, in nm."""
    away = 0.0 if is_label else (2**level - 1) / 2
    return 0.0, away * spacing_nm[1], away * spacing_nm[2]
