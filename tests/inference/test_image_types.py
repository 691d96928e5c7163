"""The same values are the same prediction, whatever type and source they come from; no source is ever written to."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
import tifffile
import zarr
from PIL import Image

from connectomics.data.augment.geometric import Geometry, rotation
from connectomics.data.datasets import PatchCutter, as_sample
from connectomics.data.targets import TARGETS
from connectomics.data.volume import LearningVolume
from connectomics.geometry import Box
from connectomics.inference import Lane, predict_volume
from connectomics.inference.slabs import scale_on
from connectomics.volumes.intensity import IntensityRange, measure_intensity
from connectomics.volumes.padding import PaddedSource
from connectomics.volumes.read import open_volume
from connectomics.volumes.source import ArraySource, CroppedSource, HeldSource, VolumeSource
from tests.inference.conftest import CPU, lopsided_network, make_plan

NAMES = ("u1", "u2", "u4", "u8", "i1", "i2", "i4", "i8", "f2", "f4", "f8")
TYPES = [np.dtype(f"{order}{name}") for name in NAMES for order in "<>" if name[1] != "1" or order == "<"]
SIZE = (16, 18)
DEPTHS = {1: 4, 2: 6, 5: 12}  # rows of windows of 4 sections that overlap by half, to sections


def values(rows: int, dtype: np.dtype) -> np.ndarray:
    top = 2 if dtype.kind == "b" else 100
    return np.random.default_rng(3).integers(0, top, (DEPTHS[rows], *SIZE)).astype(np.uint8)


def in_array(folder: Path, voxels: np.ndarray) -> VolumeSource:
    return ArraySource.of(voxels)


def read_only(folder: Path, voxels: np.ndarray) -> VolumeSource:
    voxels.flags.writeable = False
    return ArraySource.of(voxels)


def strided(folder: Path, voxels: np.ndarray) -> VolumeSource:
    return ArraySource.of(np.asfortranarray(voxels[::-1])[::-1])


def in_hdf5(folder: Path, voxels: np.ndarray) -> VolumeSource:
    with h5py.File(folder / "im.h5", "w") as file:
        file["main"] = voxels
    return open_volume(str(folder / "im.h5"))


def in_zarr(folder: Path, voxels: np.ndarray) -> VolumeSource:
    group = zarr.open_group(str(folder / "im.zarr"), mode="w")
    group.create_array("main", shape=voxels.shape, dtype=voxels.dtype, chunks=(4, 16, 16))[:] = voxels
    return open_volume(str(folder / "im.zarr"))


def in_tiff(folder: Path, voxels: np.ndarray) -> VolumeSource:
    order = ">" if voxels.dtype.byteorder == ">" else "<"
    tifffile.imwrite(folder / "im.tif", voxels, byteorder=order, photometric="minisblack", metadata=None)
    return open_volume(str(folder / "im.tif"))


def in_npy(folder: Path, voxels: np.ndarray) -> VolumeSource:
    np.save(folder / "im.npy", voxels)
    return open_volume(str(folder / "im.npy"))


def in_npz(folder: Path, voxels: np.ndarray) -> VolumeSource:
    np.savez_compressed(folder / "im.npz", raw=np.asfortranarray(voxels))
    return open_volume(str(folder / "im.npz"))


def in_nifti(folder: Path, voxels: np.ndarray) -> VolumeSource:
    nibabel = pytest.importorskip("nibabel")
    kind = nibabel.Nifti1Header(endianness=">" if voxels.dtype.byteorder == ">" else "<")
    try:
        kind.set_data_dtype(voxels.dtype)
    except nibabel.spatialimages.HeaderDataError:
        pytest.skip(f"NIfTI has no {voxels.dtype}")
    nibabel.Nifti1Image(voxels.T, None, header=kind, dtype=voxels.dtype).to_filename(folder / "im.nii")
    return open_volume(str(folder / "im.nii"))


def in_mrc(folder: Path, voxels: np.ndarray) -> VolumeSource:
    mrcfile = pytest.importorskip("mrcfile")
    if voxels.dtype.newbyteorder("=").name not in ("int8", "int16", "uint16", "float16", "float32"):
        pytest.skip(f"MRC has no {voxels.dtype}")
    with mrcfile.new(folder / "im.mrc") as file:
        file.set_data(voxels)
    return open_volume(str(folder / "im.mrc"))


def in_png(folder: Path, voxels: np.ndarray) -> VolumeSource:
    if voxels.dtype.newbyteorder("=").name not in ("bool", "uint8", "uint16"):
        pytest.skip(f"PNG has no {voxels.dtype}")
    for z, section in enumerate(voxels):
        Image.fromarray(section.astype(section.dtype.newbyteorder("="))).save(folder / f"s{z}.png")
    return open_volume(str(folder / "*.png"))


def cropped(folder: Path, voxels: np.ndarray) -> VolumeSource:
    around = np.pad(voxels, 3, mode="edge")
    return CroppedSource(ArraySource.of(around), Box.at((3, 3, 3), voxels.shape))


def padded(folder: Path, voxels: np.ndarray) -> VolumeSource:
    return PaddedSource(CroppedSource(ArraySource.of(voxels), Box((0, 0, 0), voxels.shape)), (0, 0, 0), "constant", 1)


def preloaded(folder: Path, voxels: np.ndarray) -> VolumeSource:
    return HeldSource(ArraySource.of(voxels), Box((0, 0, 0), voxels.shape))


SOURCES: list[Callable[[Path, np.ndarray], VolumeSource]] = [
    in_array, read_only, strided, in_hdf5, in_zarr, in_tiff, in_npy, in_npz, in_nifti, in_mrc,
    in_png, cropped, padded, preloaded,
]  # fmt: skip
MODES: list[dict] = [{}, {"block": (10, 7)}, {"whole_plane": True}, {"pad": (1, 3, 2), "pad_mode": "constant"}]
PAIRS = [
    (dtype, source, (1, 2, 5)[i % 3], (1, 3)[i % 2], MODES[(i // 2 + k) % len(MODES)])
    for i, dtype in enumerate([np.dtype(bool), *TYPES])
    for k, source in enumerate(SOURCES)
]


def predicted(image: VolumeSource, lanes: int, mode: dict) -> np.ndarray:
    """Predict with a network that writes into what it is given, as one with activations in place would."""
    network = lopsided_network(1, 1)

    def forward(windows):
        logits = network(windows)
        windows.zero_()
        return logits

    plan = make_plan(window=(4, 16, 16), **mode)
    out = np.full((1, *image.shape), np.nan, np.float32)
    for part in predict_volume(image, measure_intensity(image, "0-1", 0, 1), plan, [Lane(forward, CPU)] * lanes):
        out[(slice(None), *part.box.slices)] = part.voxels
    return out


@pytest.mark.parametrize(("dtype", "source", "rows", "lanes", "mode"), PAIRS)
def test_the_same_values_are_the_same_prediction(tmp_path: Path, dtype, source, rows, lanes, mode) -> None:
    bytes_ = values(rows, dtype)
    if source is in_tiff and dtype.kind == "b":
        pytest.skip("tifffile writes bool as bits, which is another file format to this reader")
    voxels = bytes_.astype(dtype)
    image = source(tmp_path, voxels)
    found = predicted(image, lanes, mode)
    np.testing.assert_allclose(found, predicted(ArraySource.of(bytes_), 1, mode), rtol=0, atol=1e-5)
    np.testing.assert_array_equal(predicted(image, lanes, mode), found)
    np.testing.assert_array_equal(image.read_all()[0], bytes_)
    np.testing.assert_array_equal(voxels, bytes_)


@pytest.mark.parametrize("clips", [True, False])
@pytest.mark.parametrize("dtype", [np.dtype(bool), *TYPES], ids=str)
def test_scaling_leaves_the_slab_alone_and_shares_no_memory_with_it(dtype, clips) -> None:
    slab = values(1, dtype).astype(dtype)[np.newaxis]
    before, intensity = slab.copy(), IntensityRange(1.0, 90.0, clips)
    scaled = scale_on(CPU, slab, intensity)
    np.testing.assert_array_equal(scaled.numpy(), intensity.scale(before))
    scaled.fill_(-7)
    np.testing.assert_array_equal(slab, before)


@pytest.mark.parametrize("clips", [True, False])
@pytest.mark.parametrize("linear", [((1.0, 0.0), (0.0, 1.0)), rotation(30)], ids=["in place", "turned"])
@pytest.mark.parametrize("dtype", [np.dtype(bool), *TYPES], ids=str)
def test_patches_of_every_type_are_equal_and_leave_their_volume_alone(dtype, linear, clips) -> None:
    bytes_ = values(1, dtype)
    codes = (bytes_ > 1).astype(np.uint8)
    samples = []
    for voxels in (bytes_.copy(), bytes_.astype(dtype)):
        voxels.flags.writeable = False
        intensity = IntensityRange(1.0, 90.0, clips)
        volume = LearningVolume("a", ArraySource.of(voxels), ArraySource.of(codes), intensity, 0.5)
        cutter = PatchCutter([volume], TARGETS["cleft"](), "reflect")
        samples.append(as_sample(cutter.cut(0, (0, 0, 0), Geometry(voxels.shape, linear=linear))))
        for part in samples[-1].values():
            assert not np.shares_memory(part.numpy(), voxels)
            assert not np.shares_memory(part.numpy(), codes)
    # between grey values a byte is rounded to a whole one
    step = 0 if linear[0][0] == 1 else 1.0 if not clips else 1 / 89
    np.testing.assert_allclose(samples[0]["image"], samples[1]["image"], rtol=0, atol=step * 0.51 + 1e-6)
