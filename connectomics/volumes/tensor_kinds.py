"""Formats that are read by tensorstore: how each says which array is meant, its axes and its voxel size."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from connectomics.errors import VolumeError
from connectomics.volumes.axes import Axes, letters_of
from connectomics.volumes.multiscale import place_level, read_levels
from connectomics.volumes.stated import Node, Stated, axis_letters, read_stated
from connectomics.volumes.units import as_spacing, nanometres_of

ReadNote = Callable[[str], dict[str, Any] | None]
"""Gives the JSON file of a name, below the place that is opened; None if there is none."""


@dataclass(frozen=True, slots=True)
class Kind:
    """One array, as tensorstore opens it."""

    driver: str
    inner: str
    """Where the array lies below the place that was named; "" for there."""
    letters: str | None
    """Letters of its axes; None where they are not stated."""
    stated: Callable[[Axes], Stated]
    """Axes to voxel size and offset."""
    note: str = ""
    """What was guessed, and a person should know."""


def find_kind(read: ReadNote, location: str) -> Kind:
    """Return the array that lies at a place.

    Raises:
        VolumeError: If there is none of a known format.
    """
    for look in KINDS:
        kind = look(read, location)
        if kind is not None:
            return kind
    raise VolumeError(
        f"{location} holds no OME-Zarr, Zarr, N5 or precomputed volume; a dataset is named after a colon, as in "
        "vol.n5:/volumes/raw"
    )


def _precomputed(read: ReadNote, location: str) -> Kind | None:
    info = read("info")
    if info is None or not info.get("scales"):
        return None
    scale = info["scales"][0]
    x, y, z = (float(s) for s in scale["resolution"])
    ox, oy, oz = (float(v) for v in scale.get("voxel_offset", (0, 0, 0)))
    place = Stated(as_spacing((z, y, x)), (oz * z, oy * y, ox * x))
    return Kind("neuroglancer_precomputed", "", "xyzc", lambda axes: place)


def _n5(read: ReadNote, location: str) -> Kind | None:
    attributes, inner = read("attributes.json"), ""
    if attributes is None or "dimensions" not in attributes:
        finest = read("s0/attributes.json")
        if finest is None or "dimensions" not in finest:
            return None
        attributes, inner = {**(attributes or {}), **finest}, "s0"
    place = _place_of_n5(attributes, location)
    note = "level s0 of the N5 is taken" if inner else ""
    return Kind("n5", inner, "xyzct"[: len(attributes["dimensions"])], lambda axes: place, note)


def _place_of_n5(attributes: Mapping[str, Any], location: str) -> Stated:
    """Return what Java's tools state, whose axes are (x, y, z); a bare `resolution` may be in either order."""
    stated: Any = attributes.get("pixelResolution")
    unit = "nm"
    if isinstance(stated, Mapping):
        unit = str(stated.get("unit", "nm"))
        stated = stated.get("dimensions")
    plain = attributes.get("resolution")
    if stated is None and isinstance(plain, list) and len(plain) == 3 and len(set(plain)) == 1:
        stated = plain
    if not isinstance(stated, list) or len(stated) < 3:
        told = "its `resolution` may be (x, y, z) or (z, y, x), and is not taken" if plain is not None else ""
        return Stated(notes=(told,) if told else ())
    factor = nanometres_of(unit, location)
    if factor is None:
        return Stated()
    x, y, z = (float(s) * factor for s in stated[:3])
    return Stated(as_spacing((z, y, x)))


def _zarr_3(read: ReadNote, location: str) -> Kind | None:
    node = read("zarr.json")
    if node is None:
        return None
    attributes = node.get("attributes") or {}
    if node.get("node_type") == "array":
        return _plain_array("zarr3", node, attributes, location)
    return _level_of_ome("zarr3", read, attributes, location)


def _zarr_2(read: ReadNote, location: str) -> Kind | None:
    attributes = read(".zattrs") or {}
    array = read(".zarray")
    if array is not None:
        return _plain_array("zarr", array, attributes, location)
    return _level_of_ome("zarr", read, attributes, location)


def _level_of_ome(driver: str, read: ReadNote, attributes: Mapping[str, Any], location: str) -> Kind | None:
    """Return the finest level of an OME-Zarr image."""
    levels = read_levels(attributes, location)
    if not levels:
        return None
    finest = levels[0]
    own = read(f"{finest.path}/zarr.json" if driver == "zarr3" else f"{finest.path}/.zattrs") or {}
    inner = own.get("attributes") or {} if driver == "zarr3" else own

    def stated(axes: Axes) -> Stated:
        ome, plain = place_level(finest, axes, location), read_stated([Node("", inner)], axes, location)
        return Stated(ome.spacing_nm or plain.spacing_nm, ome.offset_nm or plain.offset_nm, ome.notes)

    return Kind(driver, finest.path, finest.letters, stated)


def _plain_array(driver: str, node: Mapping[str, Any], attributes: Mapping[str, Any], location: str) -> Kind:
    names, extent = node.get("dimension_names"), node.get("shape") or ()
    letters = axis_letters(attributes, len(extent))
    if letters is None and names is not None and {"y", "x"} <= set(letters_of(names)):
        letters = letters_of(names)
    return Kind(driver, "", letters, lambda axes: read_stated([Node("", attributes)], axes, location))


KINDS: tuple[Callable[[ReadNote, str], Kind | None], ...] = (_precomputed, _zarr_3, _zarr_2, _n5)
"""What is looked for at a place, in this order."""
