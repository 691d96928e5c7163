"""Damaged files: cut off, bits flipped; every one is read or refused by our own exception, in seconds."""

import shutil
import signal
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from types import FrameType

import h5py
import mrcfile
import nibabel
import numpy as np
import pytest
import tifffile
import zarr
from PIL import Image

from connectomics.errors import VolumeError
from connectomics.volumes.attributes import read_attributes
from connectomics.volumes.read import open_volume
from tests.volumes.foreign import NM, U8

SECONDS = 20
EACH = 12
"""Damaged copies of one file."""


def as_hdf5(path: Path) -> None:
    with h5py.File(path, "w") as file:
        main = file.create_dataset("main", data=U8, chunks=(2, 6, 7), compression="gzip", shuffle=True)
        main.attrs.update(resolution=NM, units=np.bytes_(b"nm"))
        file["link"] = h5py.SoftLink("/main")


def as_zarr(path: Path, zarr_format: int, name: str = "main") -> None:
    group = zarr.open_group(str(path), mode="w", zarr_format=zarr_format)  # type: ignore[arg-type]
    array = group.create_array(name, shape=U8.shape, dtype="u1", chunks=(2, 6, 7))
    array[:] = U8
    axes = [{"name": axis, "type": "space", "unit": "nanometer"} for axis in "zyx"]
    steps = [{"type": "scale", "scale": list(NM)}]
    group.attrs["multiscales"] = [{"axes": axes, "datasets": [{"path": name, "coordinateTransformations": steps}]}]


def as_sections(path: Path, suffix: str, dtype: str = "u1") -> None:
    path.mkdir()
    for z, section in enumerate(U8.astype(dtype)):
        Image.fromarray(section).save(path / f"s{z}{suffix}")


def as_nifti(path: Path) -> None:
    nibabel.Nifti1Image(U8.T, np.diag([4, 4, 40, 1.0])).to_filename(path)


def as_mrc(path: Path) -> None:
    with mrcfile.new(path) as file:
        file.set_data(U8.astype(np.int16))
        file.voxel_size = (40.0, 40.0, 400.0)


MAKERS: dict[str, Callable[[Path], None]] = {
    "v.h5": as_hdf5,
    "two.zarr": lambda path: as_zarr(path, 2, "0"),
    "three.zarr": lambda path: as_zarr(path, 3),
    "plain.tif": lambda path: tifffile.imwrite(path, U8),
    "lzw.tif": lambda path: tifffile.imwrite(path, U8, compression="lzw"),
    "zstd.ome.tif": lambda path: tifffile.imwrite(path, U8, compression="zstd", metadata={"axes": "ZYX"}),
    "ij.tif": lambda path: tifffile.imwrite(path, U8, imagej=True, metadata={"axes": "ZYX", "unit": "nm"}),
    "png": lambda path: as_sections(path, ".png", "u2"),
    "jpg": lambda path: as_sections(path, ".jpg"),
    "bmp": lambda path: as_sections(path, ".bmp"),
    "tif": lambda path: as_sections(path, ".tif"),
    "v.npy": lambda path: np.save(path, U8),
    "v.npz": lambda path: np.savez_compressed(path, main=U8, other=U8),
    "v.nii": as_nifti,
    "v.nii.gz": as_nifti,
    "v.mrc": as_mrc,
}


@pytest.fixture(autouse=True)
def no_hang() -> Iterator[None]:
    """Let a test that hangs fail."""

    def ring(signum: int, frame: FrameType | None) -> None:
        raise TimeoutError(f"not done after {SECONDS} s")

    before = signal.signal(signal.SIGALRM, ring)
    signal.alarm(SECONDS)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


def damage(path: Path, rng: np.random.Generator, trial: int) -> None:
    """Cut one file off, or flip some of its bits, half of the time near its beginning."""
    files = sorted(file for file in path.rglob("*") if file.is_file()) if path.is_dir() else [path]
    file = files[int(rng.integers(len(files)))]
    content = bytearray(file.read_bytes())
    if trial % 3 == 0:
        file.write_bytes(content[: int(rng.integers(len(content) + 1))])
        return
    reach = len(content) if trial % 2 else min(len(content), 400)
    for at in rng.integers(reach, size=int(rng.integers(1, 6))):
        content[at] ^= 1 << int(rng.integers(8))
    file.write_bytes(content)


@pytest.mark.parametrize("name", MAKERS)
def test_a_damaged_file_is_read_or_refused_as_ours(tmp_path: Path, name: str) -> None:
    whole = tmp_path / "whole" / name
    whole.parent.mkdir()
    MAKERS[name](whole)
    rng = np.random.default_rng(sum(name.encode()))
    for trial in range(EACH):
        path = tmp_path / name
        if path.is_dir():
            shutil.rmtree(path)
        (shutil.copytree if whole.is_dir() else shutil.copy)(whole, path)
        damage(path, rng, trial)
        has_names = name.endswith((".h5", ".zarr", ".npz"))
        for location in (str(path), f"{path}:/main") if has_names else (str(path),):
            with suppress(VolumeError):
                open_volume(location).read_all()
        if name.endswith((".h5", ".zarr")):
            with suppress(VolumeError):
                read_attributes(path)


@pytest.mark.parametrize("content", [b"", b"\x89HDF\r\n\x1a\n", b"II*\0\xff\xff\xff\xff", b"\0" * 4096])
@pytest.mark.parametrize(
    "suffix",
    [".h5", ".hdf", ".tif", ".zarr", ".png", ".jpg", ".bmp", ".npy", ".npz", ".nii", ".nii.gz", ".mrc"],
)
def test_what_is_no_such_file_is_refused(tmp_path: Path, suffix: str, content: bytes) -> None:
    (tmp_path / f"v{suffix}").write_bytes(content)
    with pytest.raises(VolumeError):
        open_volume(str(tmp_path / f"v{suffix}"))
