"""Check that volumes have the voxel size and the range of grey values that a network was trained on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from connectomics.errors import CheckpointError, VolumeError
from connectomics.geometry import Spacing
from connectomics.screen.console import say
from connectomics.training.checkpoints import LEARNT_AT_KEY, SETTINGS_KEY
from connectomics.volumes.labelled import LabelledSource
from connectomics.volumes.source import VolumeSource

NOTICED = 1.001
"""Least ratio of two voxel sizes that is reported as a difference; a smaller one is rounding."""

LARGEST_RATIO = 1.15
"""Largest ratio along an axis at which two voxel sizes count as one; augmentation and tissue vary as much."""

KEY = "data.allow_other_resolution"


def learnt_sizes(volumes: Sequence[LabelledSource]) -> tuple[Spacing, ...]:
    """Return the voxel sizes of what a network learns from, each once."""
    return tuple(dict.fromkeys(_size(volume.image) for volume in volumes))


def require_one_resolution(volumes: Sequence[LabelledSource], allow: bool) -> None:
    """Refuse volumes of training and validation whose voxels differ in size.

    Raises:
        VolumeError: With two of them, unless other voxel sizes are allowed.
    """
    first = volumes[0]
    for other in volumes[1:]:
        _compare(other, [_size(first.image)], f"{first.image.info.location} has {_written(_size(first.image))}", allow)


def require_learnt(
    volumes: Sequence[LabelledSource], checkpoint: Mapping[str, Any], path: Path, normalize: str, allow: bool
) -> None:
    """Refuse volumes of another voxel size, or scaled in another way, than a network learnt with.

    Args:
        volumes: What it is asked to look at.
        checkpoint: The checkpoint, as read.
        path: Path of the checkpoint, for messages.
        normalize: How the settings scale grey values.
        allow: Whether other voxel sizes are allowed (`data.allow_other_resolution`).

    Raises:
        CheckpointError: If its grey values were scaled in another way.
        VolumeError: If a volume has other voxels, unless they are allowed.
    """
    trained = checkpoint[SETTINGS_KEY].get("data", {}).get("image_transform", {}).get("normalize", normalize)
    if trained != normalize:
        raise CheckpointError(
            f"--checkpoint {path} was trained with data.image_transform.normalize={trained}, the settings say "
            f"{normalize}; use the settings of its run"
        )
    if LEARNT_AT_KEY not in checkpoint:
        say(f"{path} is older and does not know its voxel size: make sure that it is that of these volumes")
        return
    learnt: list[Spacing] = [(z, y, x) for z, y, x in checkpoint[LEARNT_AT_KEY]]
    for volume in volumes:
        _compare(volume, learnt, f"--checkpoint {path} learnt at {' and '.join(map(_written, learnt))}", allow)


def _compare(volume: LabelledSource, known: Sequence[Spacing], what_is_known: str, allow: bool) -> None:
    ratio = min(_ratio(_size(volume.image), size) for size in known)
    if ratio <= NOTICED:
        return
    differ = f"{volume.image.info.location} has voxels of {_written(_size(volume.image))}, {what_is_known}"
    if ratio > LARGEST_RATIO and not allow:
        raise VolumeError(
            f"{differ}: resample the volume, or correct its `resolution` if that is wrong; {KEY}=true takes it as it is"
        )
    say(f"{differ}; it is taken as it is")


def _ratio(one: Spacing, other: Spacing) -> float:
    """Return by how much two sizes differ along the axis where they differ most, as a factor of at least 1."""
    return max(max(a / b, b / a) for a, b in zip(one, other, strict=True))


def _size(image: VolumeSource) -> Spacing:
    spacing = image.info.spacing_nm
    assert spacing is not None  # a volume without one is not opened
    z, y, x = (float(size) for size in spacing)
    return z, y, x


def _written(size: Spacing) -> str:
    return " x ".join(f"{n:.6g}" for n in size) + " nm"
