"""Exports, opened by the libraries that other programs use."""

from pathlib import Path

import numpy as np
import pytest
import tensorstore
import tifffile
import zarr

from connectomics.errors import ConfigError, VolumeError
from connectomics.geometry import ZYX, Box
from connectomics.volumes.exports import EXPORTS, export_path, export_volume
from connectomics.volumes.labels import CREMI_BACKGROUND, EXCLUDED
from connectomics.volumes.pyramid import BLOCK, CHUNK, halve, level_shapes
from connectomics.volumes.read import open_volume
from connectomics.volumes.source import ArraySource, VolumeInfo, VolumeSource

SHAPE = (5, 6, 7)
Z, Y, X = np.indices(SHAPE)
COORDINATES = (100 * Z + 10 * Y + X).astype(np.uint16)
NM = (50.0, 4.6, 4.6)


def source(voxels: np.ndarray, layout: str = "main", offset: tuple = (0.0, 0.0, 0.0), **stated: object) -> ArraySource:
    whole = voxels if voxels.ndim == 4 else voxels[np.newaxis]
    c, z, y, x = whole.shape
    info = VolumeInfo("v.h5", c, (z, y, x), whole.dtype, NM, offset, layout, attributes=stated)  # type: ignore[arg-type]
    return ArraySource(whole, info)


def opened(path: Path, level: int = 0) -> np.ndarray:
    """Open an export with a library that is not ours: (z, y, x), or (channel, z, y, x)."""
    if path.name.endswith(".tif"):
        with tifffile.TiffFile(path) as file:
            axes, voxels = file.series[0].axes, file.series[0].asarray()
        return voxels.swapaxes(0, 1) if axes == "ZCYX" else voxels
    if path.name.endswith(".zarr"):
        return zarr.open_group(str(path), mode="r")[str(level)][:]  # type: ignore[index]
    kvstore = {"driver": "file", "path": str(path)}
    spec = {"driver": "neuroglancer_precomputed", "kvstore": kvstore, "scale_index": level}
    voxels = tensorstore.open(spec).result().read().result().T  # (channel, z, y, x)
    return voxels[0] if len(voxels) == 1 else voxels


def exported(tmp_path: Path, volume: VolumeSource, form: str, is_label: bool | None = None) -> Path:
    path = export_path("v.h5", form, tmp_path)
    export_volume(volume, path, form, is_label)
    return path


@pytest.mark.parametrize("form", EXPORTS)
@pytest.mark.parametrize("dtype", ["u1", "u2", ">u2", "f4", ">f4", "f2", "f8", "i2"])
@pytest.mark.parametrize("channels", [1, 2])
def test_another_library_reads_the_same_voxels(tmp_path: Path, form: str, dtype: str, channels: int) -> None:
    voxels = (COORDINATES % 200).astype(dtype)
    if channels == 2:
        voxels = np.stack([voxels, voxels + 1])
    found = opened(exported(tmp_path, source(voxels, channels="pre, post"), form, is_label=False))
    np.testing.assert_array_equal(found, voxels)


@pytest.mark.parametrize("form", EXPORTS)
@pytest.mark.parametrize("dtype", ["?", "u1", "i4", "u8", ">i8"])
def test_ids_stay_what_they_are_in_the_narrowest_type_that_holds_them(tmp_path: Path, form: str, dtype: str) -> None:
    ids = (COORDINATES % 2 if dtype == "?" else COORDINATES % 250).astype(dtype)
    path = exported(tmp_path, source(ids), form, is_label=True)
    assert opened(path).dtype.kind == "u"
    np.testing.assert_array_equal(opened(path), ids)


def test_ids_that_a_form_cannot_hold_are_refused(tmp_path: Path) -> None:
    ids = np.full(SHAPE, 2**40, np.uint64)
    for form, most in (("tiff", "uint16"), ("ome-tiff", "uint32")):
        with pytest.raises(VolumeError, match=f"ids up to 1099511627776; {form} has {most} at most for ids"):
            exported(tmp_path, source(ids), form, is_label=True)
    for form in ("ome-zarr", "precomputed"):
        np.testing.assert_array_equal(opened(exported(tmp_path, source(ids), form, is_label=True)), ids)
    with pytest.raises(VolumeError, match="holds the id -1"):
        exported(tmp_path, source(np.full(SHAPE, -1)), "tiff", is_label=True)
    with pytest.raises(VolumeError, match="holds int64, which tiff does not have for images"):
        exported(tmp_path, source(ids.astype(np.int64)), "tiff", is_label=False)


def test_ids_of_a_challenge_file_begin_at_one_and_its_background_is_0(tmp_path: Path) -> None:
    ids = np.full(SHAPE, CREMI_BACKGROUND, np.uint64)
    ids[1], ids[2], ids[3] = 0, 41, EXCLUDED
    for form in EXPORTS:
        found = opened(exported(tmp_path, source(ids, "cremi"), form))
        assert [int(section.max()) for section in found] == [0, 1, 42, 0, 0]


@pytest.mark.parametrize(
    ("voxels", "stated", "is_label"),
    [
        (np.zeros(SHAPE, np.float32), {"content": "probability times scale"}, False),
        (np.zeros(SHAPE, np.uint8), {"content": "probability times scale", "scale": 255.0}, False),
        (np.zeros(SHAPE, np.uint8), {"content": "1 where there is a cleft"}, True),
        (np.zeros(SHAPE, np.uint8), {}, False), (np.zeros(SHAPE, np.uint32), {}, True),
        (np.zeros(SHAPE, bool), {}, True),
    ],
)  # fmt: skip
def test_what_a_file_holds_is_as_it_says(tmp_path: Path, voxels: np.ndarray, stated: dict, is_label: bool) -> None:
    written = export_volume(source(voxels, **stated), tmp_path / "a", "precomputed")
    assert written.is_label == is_label
    assert ('"segmentation"' in (tmp_path / "a" / "info").read_text()) == is_label


@pytest.mark.parametrize("form", EXPORTS)
def test_voxel_size_place_and_scale_are_stated(tmp_path: Path, form: str) -> None:
    voxels = COORDINATES.astype(np.uint8)
    offset = (100.0, 9.2, 13.8)
    path = exported(tmp_path, source(voxels, offset=offset, scale=255.0, content="p"), form)
    if form == "precomputed":
        spec = {"driver": "neuroglancer_precomputed", "kvstore": {"driver": "file", "path": str(path)}}
        store = tensorstore.open(spec).result()
        assert tuple(store.domain.origin) == (3, 2, 2, 0)
        assert [unit.to_json() for unit in store.dimension_units[:3]] == [[4.6, "nm"], [4.6, "nm"], [50, "nm"]]
        assert b'"probability_scale": 255.0' in (path / "info").read_bytes()
        return
    info = open_volume(str(path)).info
    assert (info.spacing_nm, info.attributes["scale"]) == (NM, 255)
    if form == "ome-zarr":
        np.testing.assert_allclose(info.offset_nm, offset)
    if form == "ome-tiff":
        with tifffile.TiffFile(path) as file:
            assert 'PhysicalSizeX="4.6" PhysicalSizeXUnit="nm"' in str(file.ome_metadata)
    if form == "tiff":
        with tifffile.TiffFile(path) as file:
            words = file.imagej_metadata
            assert words is not None
            assert (words["unit"], words["spacing"], words["slices"]) == ("nm", 50, 5)
            np.testing.assert_allclose([words[f"{axis}origin"] for axis in "zyx"], (-2, -2, -3))


def test_a_place_between_voxels_is_refused_where_it_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(VolumeError, match=r"begins at .* no whole number of voxels .* export it --as ome-zarr"):
        exported(tmp_path, source(COORDINATES, offset=(0.0, 2.3, 0.0)), "precomputed")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("channels", [1, 3])
def test_ome_zarr_is_as_its_specification_has_it(tmp_path: Path, channels: int) -> None:
    pytest.importorskip("ome_zarr_models")
    from ome_zarr_models.v05.image import Image

    voxels = np.zeros((channels, 2, 600, 40), np.uint8)
    path = exported(tmp_path, source(voxels, offset=(50.0, 0.0, 4.6)), "ome-zarr", is_label=False)
    image = Image.from_zarr(zarr.open_group(str(path), mode="r"))
    (multiscale,) = image.ome_attributes.multiscales
    assert [axis.name for axis in multiscale.axes] == (["z", "y", "x"] if channels == 1 else ["c", "z", "y", "x"])
    assert [one.path for one in multiscale.datasets] == ["0", "1", "2"]


@pytest.mark.parametrize("is_label", [True, False])
@pytest.mark.parametrize("form", ["ome-zarr", "precomputed"])
def test_every_level_is_that_of_the_whole_volume_halved(tmp_path: Path, form: str, is_label: bool) -> None:
    shape = (CHUNK[0] + 1, 41, BLOCK[1] + 275)
    voxels = np.random.default_rng(0).integers(0, 255, shape).astype(np.uint8)
    path = exported(tmp_path, source(voxels), form, is_label)
    assert level_shapes(shape) == [(9, 41, 2323), (9, 21, 1162), (9, 11, 581), (9, 6, 291)]
    whole = voxels[np.newaxis]
    for level in range(4):
        np.testing.assert_array_equal(opened(path, level), whole[0])
        whole = halve(whole, is_label)


@pytest.mark.parametrize("dtype", ["u1", "u4", "f4"])
def test_a_constant_is_halved_to_itself_and_ids_invent_none(dtype: str) -> None:
    constant = np.full((1, 2, 5, 7), 201, dtype)
    for is_label in (True, False):
        halved = halve(constant, is_label)
        assert (halved.shape, halved.dtype, set(halved.flat)) == ((1, 2, 3, 4), np.dtype(dtype), {201})
    ids = np.random.default_rng(0).choice([0, 3, 900], (1, 2, 9, 9)).astype(np.uint32)
    assert set(halve(ids, True).flat) <= {0, 3, 900}


class Endless(VolumeSource):
    """A volume of any size that costs no memory, and counts what is asked of it."""

    def __init__(self, shape: ZYX, dtype: str, fails_at: int = 10**9) -> None:
        self.info = VolumeInfo("endless", 1, shape, np.dtype(dtype), NM)
        self.largest, self.fails_at = 0, fails_at

    def _read(self, box: Box) -> np.ndarray:
        if box.stop[0] > self.fails_at:
            raise OSError("the disk is gone")
        self.largest = max(self.largest, box.size * self.info.dtype.itemsize)
        return np.zeros(box.shape, self.info.dtype)


@pytest.mark.parametrize("form", EXPORTS)
def test_memory_does_not_grow_with_the_volume(tmp_path: Path, form: str) -> None:
    shape = (90, 2048, 2048) if form.endswith("tiff") else (16, 2048, 2304)
    endless = Endless(shape, "u1")
    export_volume(endless, tmp_path / "a", form, is_label=False)
    assert endless.largest <= 128 * 2**20


@pytest.mark.parametrize("form", EXPORTS)
def test_an_export_is_whole_or_not_there_and_replaces_nothing_unasked(tmp_path: Path, form: str) -> None:
    path = tmp_path / f"a{EXPORTS[form].suffix}"
    with pytest.raises(VolumeError, match="the disk is gone"):
        export_volume(Endless((40, 64, 64), "u1", fails_at=20), path, form, is_label=True)
    assert list(tmp_path.iterdir()) == []
    export_volume(source(COORDINATES), path, form)
    with pytest.raises(VolumeError, match="exists already; give another --out, or --replace"):
        export_volume(source(COORDINATES + 1), path, form)
    np.testing.assert_array_equal(opened(path), COORDINATES)
    export_volume(source(COORDINATES + 1), path, form, replace=True)
    np.testing.assert_array_equal(opened(path), COORDINATES + 1)
    assert list(tmp_path.iterdir()) == [path]


def test_what_cannot_be_exported_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"--as is 'tif'; it must be one of .*; did you mean 'tiff'"):
        export_volume(source(COORDINATES), tmp_path / "a", "tif")
    with pytest.raises(VolumeError, match="more than the 4 GB of an ImageJ TIFF; export it --as ome-tiff"):
        export_volume(Endless((5000, 1000, 1000), "u1"), tmp_path / "a", "tiff")
    with pytest.raises(VolumeError, match="has 2 channels; ids have one"):
        export_volume(source(np.zeros((2, *SHAPE), np.uint8)), tmp_path / "a", "tiff", is_label=True)
    nowhere = ArraySource.of(COORDINATES)
    with pytest.raises(VolumeError, match="does not state its voxel size; give --resolution Z Y X"):
        export_volume(nowhere, tmp_path / "a", "tiff")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("location", "name"),
    [
        ("r/a.h5", "r/a.tif"), ("r/a.h5:/main", "r/a.tif"), ("r/a.hdf:/volumes/raw", "r/a_volumes_raw.tif"),
        ("r/a.ome.zarr", "r/a.tif"), ("r/a.nii.gz", "r/a.tif"), ("stack/*.png", "stack/stack.tif"),
    ],
)  # fmt: skip
def test_an_export_is_called_by_its_volume(location: str, name: str) -> None:
    assert export_path(location, "tiff") == Path(name)
    assert export_path(location, "tiff", Path("out")) == Path("out") / Path(name).name
