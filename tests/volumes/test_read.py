from pathlib import Path

import h5py
import numpy as np
import pytest
import tifffile
import zarr

from connectomics.errors import VolumeError
from connectomics.geometry import Box
from connectomics.volumes.read import open_volume, read_volume, split_location

SHAPE = (5, 6, 7)
BOX = Box((1, 2, 3), (4, 5, 7))


def coordinates(dtype: str = "uint16") -> np.ndarray:
    """Return a volume whose values encode their own position."""
    z, y, x = np.indices(SHAPE)
    return (100 * z + 10 * y + x).astype(dtype)


def as_hdf5(folder: Path) -> str:
    with h5py.File(folder / "v.h5", "w") as file:
        file.create_dataset("main", data=coordinates(), chunks=(2, 3, 3)).attrs["resolution"] = (40, 4, 4)
    return str(folder / "v.h5")


def as_named_dataset(folder: Path) -> str:
    with h5py.File(folder / "v.hdf", "w") as file:
        file["volumes/raw"], file["volumes/other"] = coordinates(), np.zeros(SHAPE)
        file["volumes/raw"].attrs["resolution"] = (40, 4, 4)
    return f"{folder / 'v.hdf'}:/volumes/raw"


def as_zarr(folder: Path, zarr_format: int) -> str:
    group = zarr.open_group(str(folder / "v.zarr"), mode="w", zarr_format=zarr_format)  # type: ignore[arg-type]
    array = group.create_array("main", shape=SHAPE, dtype="uint16", chunks=(2, 3, 3))
    array[:] = coordinates()
    array.attrs["resolution"] = [40, 4, 4]
    return str(folder / "v.zarr")


def as_bare_zarr(folder: Path) -> str:
    array = zarr.create_array(str(folder / "bare.zarr"), shape=SHAPE, dtype="uint16", chunks=(2, 3, 3))
    array[:] = coordinates()
    return str(folder / "bare.zarr")


def as_tiff(folder: Path) -> str:
    tifffile.imwrite(folder / "v.tif", coordinates())
    return str(folder / "v.tif")


def as_sections(folder: Path) -> str:
    (folder / "stack").mkdir()
    for z, section in enumerate(coordinates()):
        tifffile.imwrite(folder / "stack" / f"s{z + 8}.tif", section)  # s8, s9, s10: the order of numbers
    return str(folder / "stack")


MAKERS = {
    "hdf5": as_hdf5,
    "named dataset": as_named_dataset,
    "zarr 2": lambda folder: as_zarr(folder, 2),
    "zarr 3": lambda folder: as_zarr(folder, 3),
    "bare zarr": as_bare_zarr,
    "tiff": as_tiff,
    "sections": as_sections,
}


@pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)
def test_every_format_gives_the_same_voxels_whole_and_by_boxes(tmp_path: Path, make) -> None:
    source = open_volume(make(tmp_path), spacing_nm=(40.0, 4.0, 4.0))
    assert (source.shape, source.info.channels, source.info.dtype) == (SHAPE, 1, np.uint16)
    assert source.info.spacing_nm == (40.0, 4.0, 4.0)
    np.testing.assert_array_equal(source.read_all(), coordinates()[np.newaxis])
    np.testing.assert_array_equal(source.read(BOX), coordinates()[np.newaxis, 1:4, 2:5, 3:7])
    with pytest.raises(VolumeError, match="reaches outside"):
        source.read(Box((0, 0, 0), (6, 6, 7)))


@pytest.mark.parametrize("make", [as_hdf5, as_named_dataset, MAKERS["zarr 2"], MAKERS["zarr 3"]])
def test_a_voxel_size_that_contradicts_the_file_is_refused(tmp_path: Path, make) -> None:
    location = make(tmp_path)
    assert open_volume(location).info.spacing_nm == (40.0, 4.0, 4.0)
    with pytest.raises(
        VolumeError, match=r"has voxels of \(40.0, 4.0, 4.0\) nm .* the settings say \(50.0, 4.0, 4.0\)"
    ):
        open_volume(location, spacing_nm=(50.0, 4.0, 4.0))


def test_channels_come_first(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "v.h5", "w") as file:
        file["main"] = np.stack([coordinates(), coordinates() + 1])
    volume = read_volume(str(tmp_path / "v.h5"))
    assert volume.info.channels == 2
    np.testing.assert_array_equal(volume.voxels[1], coordinates() + 1)


def test_a_challenge_file_gives_raw_as_image_and_clefts_as_label(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "sample_A.hdf", "w") as file:
        file["volumes/raw"] = coordinates("uint8")
        file["volumes/labels/clefts"] = np.full(SHAPE, 0xFFFFFFFFFFFFFFFF, np.uint64)
        file["volumes/labels/clefts"].attrs["offset"] = (1480, 3644, 3644)
    image, label = (open_volume(str(tmp_path / "sample_A.hdf"), role) for role in ("image", "label"))  # type: ignore[arg-type]
    assert (image.info.layout, label.info.layout) == ("main", "cremi")
    assert label.info.offset_nm == (1480.0, 3644.0, 3644.0)
    assert label.read_all()[0, 0, 0, 0] == 0xFFFFFFFFFFFFFFFF


@pytest.mark.parametrize(
    ("location", "expected"),
    [
        ("a.h5", ("a.h5", None)),
        ("b/a+.hdf:/volumes/raw", ("b/a+.hdf", "/volumes/raw")),
        ("a.zarr:raw", ("a.zarr", "raw")),
        ("odd:name/sections", ("odd:name/sections", None)),
    ],
)
def test_a_dataset_is_named_after_a_colon(location: str, expected: tuple[str, str | None]) -> None:
    path, dataset = split_location(location)
    assert (str(path), dataset) == expected


def test_what_is_no_volume_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.png").touch()
    (tmp_path / "a.xyz").touch()
    (tmp_path / "empty").mkdir()
    with h5py.File(tmp_path / "flat.h5", "w") as file:
        file["main"] = np.zeros((3, 3))
    with h5py.File(tmp_path / "text.h5", "w") as file:
        file["main"] = np.full((2, 2, 2), b"x")
    with h5py.File(tmp_path / "attribute.h5", "w") as file:
        file["main"] = coordinates()
        file["main"].attrs["resolution"] = (40, 0, 4)
    for name, says in (
        ("a.png", "cannot be read as PNG"),
        ("a.xyz", "unknown format '.xyz'"),
        ("empty", "holds no sections"),
        ("flat.h5", r"has shape \(3, 3\)"),
        ("text.h5", "integers or floating-point"),
        ("attribute.h5", "voxel sizes are more than 0"),
        ("nothing.h5", "does not exist"),
    ):
        with pytest.raises(VolumeError, match=says):
            open_volume(str(tmp_path / name))


def test_a_worker_opens_an_hdf5_file_for_itself(tmp_path: Path) -> None:
    import pickle

    source = open_volume(as_hdf5(tmp_path))
    source.read_all()
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(source)).read_all(), source.read_all())
