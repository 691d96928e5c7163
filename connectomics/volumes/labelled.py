"""The volumes of a stage, opened and checked against one another before a voxel is read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from connectomics.config.data import ImageTransformConfig, VolumesConfig
from connectomics.config.slices import parse_slice
from connectomics.errors import VolumeError, printable
from connectomics.files import is_url
from connectomics.geometry import ZYX, Box
from connectomics.volumes.finite import FiniteSource
from connectomics.volumes.intensity import IntensityRange, measure_intensity
from connectomics.volumes.labels import EXCLUDED, require_label_type
from connectomics.volumes.read import is_there, name_of, open_volume, split_location
from connectomics.volumes.source import CroppedSource, PlacedSource, Role, VolumeSource
from connectomics.volumes.tutorial_files import how_to_get

OPTIONAL = "optional:"
"""Prefix of the name of a mask that is used only if it is there."""


@dataclass(frozen=True, slots=True)
class LabelledSource:
    """An image with its label and its mask of annotated voxels, all on one grid."""

    name: str
    """Stem of the image file, such as `im_A`; names every result."""
    image: VolumeSource
    label: VolumeSource | None
    mask: VolumeSource | None
    seen: VolumeSource
    """What the network may see and grey values are measured on: the image without its crop, so that all parts of a
    volume are scaled alike; with `see_beyond_crop: false`, the crop alone."""
    box: Box
    """Where `image`, `label` and `mask` lie in `seen`."""
    whole_label: VolumeSource | None = None
    """The label without its crop, for checks that need all of it."""
    seen_mask: VolumeSource | None = None
    """The mask of all that the network may see."""
    notes: tuple[str, ...] = ()
    """What was guessed when the files were opened, one line for each guess."""


def absolute_location(location: str) -> str:
    """Return the location of a volume so that it holds wherever the program is started."""
    optional = OPTIONAL if location.startswith(OPTIONAL) else ""
    if is_url(location.removeprefix(OPTIONAL)):
        return location
    path, dataset = split_location(location.removeprefix(OPTIONAL))
    return f"{optional}{path.absolute()}" + ("" if dataset is None else f":{dataset}")


def measure_image(volume: LabelledSource, transform: ImageTransformConfig) -> IntensityRange:
    """Find the grey values of a volume that become 0 and 1: one pair of numbers, the same in every mode.

    Raises:
        VolumeError: If the image cannot be read, or holds what is no finite number.
    """
    shares = transform.clip_percentile_low, transform.clip_percentile_high
    raw = volume.seen.source if isinstance(volume.seen, FiniteSource) else volume.seen
    return measure_intensity(raw, transform.normalize, *shares, volume.seen_mask)


def open_labelled(config: VolumesConfig, key: str, channels: int, need_label: bool) -> list[LabelledSource]:
    """Open the volumes of one stage.

    Args:
        config: `data.train`, `data.val` or `data.test`.
        key: The full dotted key of that section, for messages; `--init` where the command line names the files.
        channels: How many channels an image must have.
        need_label: Whether every image must have a label.

    Raises:
        VolumeError: If a file cannot be used, or image, label and mask do not lie on one grid.
    """
    if not config.image:
        raise VolumeError(f"{key}.image names no volume; list one or more files there")
    if need_label and not config.label:
        raise VolumeError(f"{key}.label names no file, but the labels are needed{_remedy(key)}")
    names = name_volumes(config.image)
    opened = [_open_one(config, key, i, name, need_label) for i, name in enumerate(names)]
    for i, one in enumerate(opened):
        if one.image.info.channels != channels:
            raise VolumeError(
                f"{key}.image[{i}]: {one.image.info.location} has {one.image.info.channels} channel(s), "
                f"model.in_channels is {channels}"
            )
    return opened


def _remedy(key: str) -> str:
    return "; for volumes without labels set evaluation.enabled=false" if key.endswith("test") else ""


def name_volumes(locations: Sequence[str]) -> list[str]:
    """Return a name for each image: its stem, with its folder in front where two stems are the same.

    Raises:
        VolumeError: If two would have the same name all the same.
    """
    paths = [split_location(location)[0] for location in locations]
    stems = [printable(name_of(location)) for location in locations]
    names = [s if stems.count(s) == 1 else f"{printable(p.parent.name)}_{s}" for s, p in zip(stems, paths, strict=True)]
    twice = [location for location, name in zip(locations, names, strict=True) if names.count(name) > 1]
    if twice:
        named = ", ".join(printable(location) for location in twice)
        raise VolumeError(
            f"{named} would have results of one name: put them into folders of different names, or take them one at a "
            "time, each with an --out of its own"
        )
    return names


def _open_one(config: VolumesConfig, key: str, i: int, name: str, need_label: bool) -> LabelledSource:
    image = _open(config, key, "image", i)
    if image.info.spacing_nm is None:
        given = "give it with --resolution Z Y X" if key == "--init" else f"set {key}.resolution: [z, y, x]"
        raise VolumeError(f"{image.info.location} does not state its voxel size; {given} in nm")
    label = None
    if config.label and need_label:
        label = place_on_grid(_open(config, key, "label", i), image)
        require_label_type(label)
    mask = place_on_grid(_open(config, key, "mask", i), image) if _has_mask(config, i) else None
    notes = tuple(f"{s.info.location}: {note}" for s in (image, label, mask) if s is not None for note in s.info.notes)
    box, sees_beyond = _crop_box(config, key, image), config.see_beyond_crop
    if box is None:
        whole = Box.whole(image.shape)
        return _finite(LabelledSource(name, image, label, mask, image, whole, label, mask, notes))
    part = CroppedSource(image, box)
    cropped = [source if source is None else CroppedSource(source, box) for source in (label, mask)]
    seen, place, seen_mask = (image, box, mask) if sees_beyond else (part, Box.whole(part.shape), cropped[1])
    return _finite(LabelledSource(name, part, cropped[0], cropped[1], seen, place, label, seen_mask, notes))


def _finite(volume: LabelledSource) -> LabelledSource:
    """Return a volume whose image is read without NaN, which it may hold where its mask is 0."""
    if volume.mask is None or volume.image.info.dtype.kind != "f":
        return volume
    return replace(volume, image=FiniteSource(volume.image), seen=FiniteSource(volume.seen))


def _open(config: VolumesConfig, key: str, role: Role, i: int) -> VolumeSource:
    location = {"image": config.image, "label": config.label, "mask": config.mask}[role][i]
    if role == "mask":
        location = location.removeprefix(OPTIONAL)
    try:
        return open_volume(location, role, config.resolution)
    except VolumeError as error:
        path, _ = split_location(location)
        hint = "" if is_there(location) else how_to_get(path)
        flags = {"image": key, "label": "--label", "mask": "--mask"}
        named = flags[role] if key.startswith("--") else f"{key}.{role}[{i}]"
        raise VolumeError(f"{named}: {error}{hint}") from error


def _has_mask(config: VolumesConfig, i: int) -> bool:
    """Return whether volume i has a mask; an optional one may be missing, but must not be a broken link."""
    if not config.mask or not config.mask[i].startswith(OPTIONAL):
        return bool(config.mask)
    return is_there(config.mask[i].removeprefix(OPTIONAL))


def _crop_box(config: VolumesConfig, key: str, image: VolumeSource) -> Box | None:
    if config.crop is None:
        return None
    ranges = [parse_slice(text, extent, f"{key}.crop") for text, extent in zip(config.crop, image.shape, strict=True)]
    z, y, x = ranges
    return Box((z.start, y.start, x.start), (z.stop, y.stop, x.stop))


def place_on_grid(other: VolumeSource, image: VolumeSource, what: str = "image") -> VolumeSource:
    """Return a label or mask on the grid of its image: as it is, or placed there by its `offset`.

    A challenge file's labels may cover a part of a padded image; the rest counts as not annotated.

    Args:
        other: The label or mask.
        image: What it belongs to.
        what: What the image is called in messages.

    Raises:
        VolumeError: If it does not fit, in voxel size, shape or place.
    """
    if other.info.channels != 1:
        raise VolumeError(f"{other.info.location} has {other.info.channels} channels; a label or mask has one")
    sizes = other.info.spacing_nm, image.info.spacing_nm
    if sizes[0] is not None and (sizes[1] is None or not np.allclose(sizes[0], sizes[1], rtol=1e-6, atol=0)):
        raise VolumeError(
            f"{other.info.location} has voxels of {other.info.spacing_nm} nm, its {what} "
            f"{image.info.location} has {image.info.spacing_nm} nm"
        )
    at = _relative_position(other, image)
    if other.shape == image.shape and at == (0, 0, 0):
        return other
    if other.info.layout == "cremi":
        return PlacedSource(other, image.shape, at, fill=EXCLUDED)
    if other.shape != image.shape:
        raise VolumeError(
            f"{other.info.location} has shape {other.shape}, its {what} {image.info.location} has {image.shape}; "
            "they must be the same"
        )
    raise VolumeError(
        f"{other.info.location} lies {at} voxels away from its {what} {image.info.location} by their attributes "
        "`offset`; they must be the same"
    )


def _relative_position(other: VolumeSource, image: VolumeSource) -> ZYX:
    spacing = image.info.spacing_nm or (1.0, 1.0, 1.0)
    distance = np.subtract(other.info.offset_nm, image.info.offset_nm) / spacing
    z, y, x = (round(float(d)) for d in distance)
    if not np.allclose(distance, (z, y, x), atol=0.01):
        raise VolumeError(
            f"{other.info.location} is {tuple(distance)} voxels away from its image by their attributes `offset`; "
            "that must be a whole number of voxels"
        )
    return z, y, x
