"""Give a volume to other programs: ImageJ and OME-TIFF, OME-Zarr, Neuroglancer's precomputed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from connectomics.errors import VolumeError
from connectomics.files import write_whole
from connectomics.lookup import pick
from connectomics.volumes.export_precomputed import write_precomputed
from connectomics.volumes.export_tiff import write_imagej, write_ome_tiff
from connectomics.volumes.export_zarr import write_ome_zarr
from connectomics.volumes.exported import ExportedVolume, prepare_export
from connectomics.volumes.read import name_of, split_location
from connectomics.volumes.source import VolumeSource

WHOLE = ("uint8", "uint16", "uint32")


@dataclass(frozen=True, slots=True)
class ExportForm:
    """A format for other programs."""

    suffix: str
    write: Callable[[Path, ExportedVolume], None]
    """Writes a volume to a path where there is nothing."""
    images: tuple[str, ...]
    """Types that it has for grey values and probabilities."""
    labels: tuple[str, ...]
    """Types that it has for ids, the narrowest first."""


EXPORTS: Mapping[str, ExportForm] = {
    "tiff": ExportForm(".tif", write_imagej, ("uint8", "uint16", "float32"), ("uint8", "uint16")),
    "ome-tiff": ExportForm(
        ".ome.tif", write_ome_tiff, (*WHOLE, "int8", "int16", "int32", "float32", "float64"), WHOLE
    ),
    "ome-zarr": ExportForm(
        ".ome.zarr",
        write_ome_zarr,
        (*WHOLE, "uint64", "int8", "int16", "int32", "int64", "float16", "float32", "float64"),
        (*WHOLE, "uint64"),
    ),
    "precomputed": ExportForm(
        ".precomputed", write_precomputed, (*WHOLE, "uint64", "int8", "int16", "int32", "float32"), ("uint32", "uint64")
    ),
}  # fmt: skip
"""`--as` of `scripts/export.py` to the format."""


def export_path(location: str, form: str, folder: Path | None = None) -> Path:
    """Return where the export of a volume goes: beside its file, or into a folder.

    Raises:
        ConfigError: If there is no such form.
    """
    path, dataset = split_location(location)
    inner = (dataset or "").strip("/").replace("/", "_")
    name = name_of(location).removesuffix(".ome") + (f"_{inner}" if inner not in ("", "main") else "")
    return (folder or path.parent) / f"{name}{pick(EXPORTS, form, '--as').suffix}"


def export_volume(
    source: VolumeSource, path: Path, form: str, is_label: bool | None = None, replace: bool = False
) -> ExportedVolume:
    """Write a volume for other programs, box by box, whole or not at all.

    Args:
        source: Probabilities, grey values, a mask, or ids, with their voxel size.
        path: Where it goes.
        form: A name in `EXPORTS`.
        is_label: Whether the voxels are ids; None goes by what the file says.
        replace: Whether a file that is there may be replaced.

    Returns:
        What was written, and in which type.

    Raises:
        VolumeError: If something is there, or the form cannot hold the volume, or the disk does not take it.
        ConfigError: If there is no such form.
    """
    chosen = pick(EXPORTS, form, "--as")
    if path.exists() and not replace:
        raise VolumeError(f"{path} exists already; give another --out, or --replace")
    volume = prepare_export(source, chosen.images, chosen.labels, form, is_label)
    with write_whole(path, VolumeError) as partial:
        chosen.write(partial, volume)
    return volume
