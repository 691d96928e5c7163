"""Whole files of every format that is read, and the ways in which they are damaged."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import mrcfile
import nibabel
import numpy as np
import tifffile
import zarr
from PIL import Image

from connectomics.files import remove_path
from connectomics.volumes.exports import export_volume
from connectomics.volumes.source import ArraySource

SHAPE = (5, 40, 43)
Z, Y, X = np.indices(SHAPE)
VOXELS = (91 * Z + 7 * Y + X).astype(np.uint8)
NM = (40.0, 4.0, 4.0)
TUTORIAL = Path(__file__).resolve().parents[1] / "tutorials" / "syn_cremi.yaml"


def as_hdf5(path: Path) -> None:
    with h5py.File(path, "w") as file:
        main = file.create_dataset("main", data=VOXELS, chunks=(2, 20, 43), compression="gzip", shuffle=True)
        main.attrs.update(resolution=NM, units=np.bytes_(b"nm"))
        file["link"] = h5py.SoftLink("/main")


def as_zarr(path: Path, zarr_format: int, name: str = "main") -> None:
    group = zarr.open_group(str(path), mode="w", zarr_format=zarr_format)  # type: ignore[arg-type]
    array = group.create_array(name, shape=SHAPE, dtype="u1", chunks=(2, 20, 43))
    array[:] = VOXELS
    axes: list[Any] = [{"name": axis, "type": "space", "unit": "nanometer"} for axis in "zyx"]
    steps: list[Any] = [{"type": "scale", "scale": list(NM)}]
    group.attrs["multiscales"] = [{"axes": axes, "datasets": [{"path": name, "coordinateTransformations": steps}]}]


def as_sections(path: Path, suffix: str, dtype: str = "u1") -> None:
    path.mkdir()
    for z, section in enumerate(VOXELS.astype(dtype)):
        Image.fromarray(section).save(path / f"s{z}{suffix}")


def as_nifti(path: Path) -> None:
    nibabel.Nifti1Image(VOXELS.T, np.diag([4, 4, 40, 1.0])).to_filename(path)


def as_mrc(path: Path) -> None:
    with mrcfile.new(path) as file:
        file.set_data(VOXELS.astype(np.int16))
        file.voxel_size = (40.0, 40.0, 400.0)


def as_tiff(path: Path, **options: Any) -> None:
    tifffile.imwrite(path, VOXELS, **options)


def as_n5(path: Path) -> None:
    import tensorstore

    metadata: dict[str, Any] = {"dimensions": SHAPE[::-1], "blockSize": [43, 20, 2], "dataType": "uint8"}
    metadata |= {"compression": {"type": "gzip"}}
    spec = {"driver": "n5", "kvstore": {"driver": "file", "path": str(path)}, "metadata": metadata}
    tensorstore.open(spec, create=True).result().write(VOXELS.transpose()).result()
    note = path / "attributes.json"
    note.write_text(note.read_text()[:-1] + ', "pixelResolution": {"unit": "nm", "dimensions": [4, 4, 40]}}')


def as_precomputed(path: Path) -> None:
    export_volume(ArraySource.of(VOXELS, NM), path, "precomputed", is_label=False)


def as_settings(path: Path) -> None:
    path.write_bytes(TUTORIAL.read_bytes())


def as_checkpoint(path: Path) -> None:
    import torch  # which takes seconds to load, and of which no other format knows

    weights = {f"model.{i}": torch.arange(500.0) + i for i in range(3)}
    torch.save({"settings": {"model": {}}, "state_dict": weights, "global_step": 3, "ema": {"weights": weights}}, path)


MAKERS: dict[str, Callable[[Path], None]] = {
    "v.h5": as_hdf5,
    "two.zarr": lambda path: as_zarr(path, 2, "0"),
    "three.zarr": lambda path: as_zarr(path, 3),
    "v.n5": as_n5,
    "v.precomputed": as_precomputed,
    "plain.tif": as_tiff,
    "lzw.tif": lambda path: as_tiff(path, compression="lzw"),
    "zstd.ome.tif": lambda path: as_tiff(path, compression="zstd", metadata={"axes": "ZYX"}),
    "ij.tif": lambda path: as_tiff(path, imagej=True, metadata={"axes": "ZYX", "unit": "nm"}),
    "png": lambda path: as_sections(path, ".png", "u2"),
    "jpg": lambda path: as_sections(path, ".jpg"),
    "bmp": lambda path: as_sections(path, ".bmp"),
    "tif": lambda path: as_sections(path, ".tif"),
    "v.npy": lambda path: np.save(path, VOXELS),
    "v.npz": lambda path: np.savez_compressed(path, main=VOXELS, other=VOXELS),
    "v.nii": as_nifti,
    "v.nii.gz": as_nifti,
    "v.mrc": as_mrc,
    "last.ckpt": as_checkpoint,
    "settings.yaml": as_settings,
}
"""Name of a file, which says its format, to what makes it; names without a dot are folders of sections."""

HAVE_NAMES = (".h5", ".zarr", ".npz")
"""Suffixes of formats whose datasets have names."""


def make_whole(folder: Path, name: str) -> Path:
    """Write the whole file of a format into a folder, and return it."""
    path = folder / name
    MAKERS[name](path)
    return path


def make_damaged(whole: Path, path: Path, seed: int, trial: int) -> None:
    """Copy a file or folder, and damage one file of the copy: what is done depends on seed and trial alone."""
    remove_path(path)  # not written over: HDF5 takes a file that it still has open for unchanged
    (shutil.copytree if whole.is_dir() else shutil.copy)(whole, path)
    rng = np.random.default_rng([seed, trial, *whole.name.encode()])
    files = sorted(file for file in path.rglob("*") if file.is_file()) if path.is_dir() else [path]
    file = files[int(rng.integers(len(files)))]
    file.write_bytes(DAMAGES[trial % len(DAMAGES)](bytearray(file.read_bytes()), rng))


def flip_bits(content: bytearray, rng: np.random.Generator) -> bytearray:
    for at in rng.integers(len(content), size=int(rng.integers(1, 9))):
        content[at] ^= 1 << int(rng.integers(8))
    return content


def flip_bits_of_header(content: bytearray, rng: np.random.Generator) -> bytearray:
    for at in rng.integers(min(len(content), 400), size=int(rng.integers(1, 6))):
        content[at] ^= 1 << int(rng.integers(8))
    return content


def truncate(content: bytearray, rng: np.random.Generator) -> bytearray:
    return content[: int(rng.integers(len(content)))]


def swap_blocks(content: bytearray, rng: np.random.Generator) -> bytearray:
    size = min(int(rng.choice([16, 64, 512])), len(content) // 2)
    one, other = sorted(int(at) for at in rng.integers(len(content) - size + 1, size=2))
    other = min(max(other, one + size), len(content) - size)
    if other >= one + size:
        content[one : one + size], content[other : other + size] = (
            content[other : other + size],
            content[one : one + size],
        )
    return content


DAMAGES = (flip_bits, flip_bits_of_header, truncate, swap_blocks)
