"""Units, voxel sizes and names that files state, and what is guessed where they state nothing."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from connectomics.cremi.layout import open_sample
from connectomics.errors import VolumeError
from connectomics.volumes.attributes import read_attributes
from connectomics.volumes.labels import CREMI_BACKGROUND
from connectomics.volumes.read import open_volume
from tests.volumes.foreign import NM, U8, holds

UM = (0.04, 0.004, 0.004)


def write(path: Path, name: str = "main", group: Mapping[str, Any] | None = None, **stated: Any) -> Path:
    with h5py.File(path, "w") as file:
        file[name] = U8
        file[name].attrs.update(stated)
        file[name].parent.attrs.update(group or {})
    return path


@pytest.mark.parametrize(
    ("size", "stated"),
    [
        (UM, {"units": "um"}), (UM, {"units": "µm"}), (UM, {"units": "μm"}), (UM, {"unit": "Micrometers"}),
        (UM, {"units": "micrometre"}), (UM, {"units": ["um", "um", "um"]}), (UM, {"units": np.bytes_(b"UM")}),
        ((0.04, 4, 40), {"units": ["um", "nm", "angstrom"]}), (NM, {"units": "NM"}), (NM, {"units": "nanometer"}),
        (NM, {}), ((4e-5, 4e-6, 4e-6), {"units": "mm"}), ((4e-8, 4e-9, 4e-9), {"units": "m"}),
        ((400, 40, 40), {"units": "Å"}), ((400, 40, 40), {"units": "Ångström"}), ((400, 40, 40), {"units": "angstrom"}),
        (np.float32(NM), {}), (np.float32(UM), {"units": "um"}),
    ],
)  # fmt: skip
@pytest.mark.parametrize("key", ["resolution", "voxel_size"])
def test_the_same_voxels_in_any_unit(tmp_path: Path, key: str, size: tuple, stated: dict) -> None:
    place = {"offset": (np.array(size) * 2)}
    info = holds(write(tmp_path / "v.h5", **{key: size}, **stated, **place))
    assert info.spacing_nm == NM
    np.testing.assert_allclose(info.offset_nm, np.array(NM) * 2, rtol=1e-6)
    around = {key: size, **stated}
    assert holds(write(tmp_path / "w.h5", "volumes/raw", around)).spacing_nm == NM


def test_element_size_um_is_in_micrometres(tmp_path: Path) -> None:
    assert holds(write(tmp_path / "v.h5", element_size_um=UM)).spacing_nm == NM


def test_whom_of_several_is_believed(tmp_path: Path) -> None:
    other = {"resolution": (1, 2, 3)}
    info = holds(write(tmp_path / "v.h5", "g/raw", other, voxel_size=NM, element_size_um=(1, 1, 1)))
    assert info.spacing_nm == NM
    assert "`element_size_um` says (1000.0, 1000.0, 1000.0)" in info.notes[1]
    assert "`resolution` of group /g says (1.0, 2.0, 3.0)" in info.notes[1]


@pytest.mark.parametrize("unit", ["pixel", "", "voxels"])
def test_pixels_are_no_length(tmp_path: Path, unit: str) -> None:
    assert holds(write(tmp_path / "v.h5", resolution=(1, 1, 1), units=unit)).spacing_nm is None


def test_an_unknown_unit_is_refused(tmp_path: Path) -> None:
    with pytest.raises(VolumeError, match="states lengths in 'furlong'"):
        open_volume(str(write(tmp_path / "v.h5", resolution=NM, units="furlong")))


@pytest.mark.parametrize(
    ("size", "likely"),
    [((0.05, 0.0046, 0.0046), "these look like um"), ((5e-5, 4e-6, 4e-6), "like mm"), ((4e-8, 4e-9, 4e-9), "like m:"),
     ((4e6, 4, 4), "another unit"), ((4e5, 4e3, 4e3), "like angstrom|like pm")],
)  # fmt: skip
def test_a_voxel_that_none_can_be_is_refused_with_the_likely_unit(tmp_path: Path, size: tuple, likely: str) -> None:
    with pytest.raises(VolumeError, match=likely):
        open_volume(str(write(tmp_path / "v.h5", resolution=size)))
    with pytest.raises(VolumeError, match=likely):
        open_volume(str(write(tmp_path / "v.h5")), spacing_nm=size)


@pytest.mark.parametrize("name", ["volumes/raw", "raw", "image", "volumes/labels/neuron_ids"])
@pytest.mark.parametrize("role", ["label", "mask"])
def test_what_holds_another_thing_by_its_name_is_not_guessed(tmp_path: Path, name: str, role: Any) -> None:
    path = write(tmp_path / "v.h5", name)
    with pytest.raises(VolumeError, match=rf"by its name is no {role}; if it is meant .*'{path}:/{name}'"):
        open_volume(str(path), role)
    holds(f"{path}:/{name}", role=role)


def test_clefts_and_masks_are_no_image_and_no_one_another(tmp_path: Path) -> None:
    for name, roles in (("volumes/labels/clefts", ("image", "mask")), ("volumes/labels/mask", ("image", "label"))):
        for role in roles:
            with pytest.raises(VolumeError, match="by its name"):
                open_volume(str(write(tmp_path / "v.h5", name)), role)  # type: ignore[arg-type]
    with pytest.raises(VolumeError, match="by its name"):
        open_sample(str(write(tmp_path / "v.h5", "volumes/labels/clefts")))


def test_prepare_refuses_grey_values_as_clefts(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "v.hdf", "w") as file:
        file["volumes/raw"], file["volumes/labels/clefts"] = U8, U8.astype(np.uint64)
        file["volumes/raw"].attrs["resolution"] = file["volumes/labels/clefts"].attrs["resolution"] = NM
    with pytest.raises(VolumeError, match="all of its first section is a cleft"):
        open_sample(str(tmp_path / "v.hdf"))
    with h5py.File(tmp_path / "v.hdf", "a") as file:
        file["volumes/labels/clefts"][0] = np.uint64(CREMI_BACKGROUND)
    assert open_sample(str(tmp_path / "v.hdf")).notes == ()


def test_what_is_guessed_is_told(tmp_path: Path) -> None:
    assert holds(write(tmp_path / "v.h5", "exported_data")).notes == (
        "exported_data, the only dataset, is taken as image",
    )


@pytest.mark.parametrize("tags", ["axistags", "axis_names", "labels"])
def test_axes_that_a_dataset_names_are_believed(tmp_path: Path, tags: str) -> None:
    with h5py.File(tmp_path / "v.h5", "w") as file:
        main = file.create_dataset("main", data=np.stack([U8.T, U8.T + 1], -1))  # x, y, z, c
        main.attrs["resolution"] = (4, 4, 40)
        if tags == "axistags":
            main.attrs["axistags"] = '{"axes": [{"key": "x"}, {"key": "y"}, {"key": "z"}, {"key": "c"}]}'
        elif tags == "axis_names":
            main.attrs["axis_names"] = ["x", "y", "z", "c^"]
        else:
            for dimension, label in zip(main.dims, "xyzc", strict=True):
                dimension.label = label
    assert holds(tmp_path / "v.h5", np.stack([U8, U8 + 1])).spacing_nm == NM


def test_the_home_folder_is_expanded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    write(tmp_path / "v.h5")
    holds("~/v.h5")
    holds("~/v.h5:/main")


@pytest.mark.parametrize("name", ["c.zarr", "in.h5"])
def test_a_path_that_goes_on_inside_a_container_gets_the_colon(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    if name.endswith("h5"):
        write(path, "volumes/raw")
    else:
        (path / "volumes" / "raw").mkdir(parents=True)
    with pytest.raises(VolumeError, match=f"{path}:/volumes/raw$"):
        open_volume(f"{path}/volumes/raw")


def test_what_is_not_read_is_named_with_a_way(tmp_path: Path) -> None:
    for name in ("v.dm4", "v.tif.gz", "v.wkw"):
        (tmp_path / name).touch()
    for name, says in (("v.dm4", "DigitalMicrograph.*Fiji"), ("v.tif.gz", "unpack it"), ("v.wkw", "webKnossos"),
                       ):  # fmt: skip
        with pytest.raises(VolumeError, match=says):
            open_volume(str(tmp_path / name))


@pytest.mark.parametrize("name", ["v.h5", "v.zarr", "v.tif", "v"])
def test_pipes_and_devices_are_not_opened(tmp_path: Path, name: str) -> None:
    os.mkfifo(tmp_path / name)
    with pytest.raises(VolumeError, match="is a named pipe"):
        open_volume(str(tmp_path / name))


def test_names_are_printed_without_control_characters(tmp_path: Path) -> None:
    path = write(tmp_path / "v.h5", "a\x1b[31mred", {})
    with pytest.raises(VolumeError) as told:
        open_volume(f"{path}:/b\x1b[2J")
    assert str(told.value).isprintable()
    assert "\\x1b[31mred" in str(told.value)
    with pytest.raises(VolumeError) as told:
        open_volume(str(tmp_path / "\x1b[2J\x9b.h5"))
    assert str(told.value).isprintable()


def test_a_size_in_nanometres_is_taken_to_the_last_digit(tmp_path: Path) -> None:
    size = (50 / 3, 4.123456789, 4.6)
    assert holds(write(tmp_path / "v.h5", resolution=size)).spacing_nm == pytest.approx(size, rel=1e-11)
    assert holds(write(tmp_path / "f.h5", resolution=np.float32((50, 4.6, 4.6)))).spacing_nm == (50.0, 4.6, 4.6)


def test_a_link_out_of_the_folder_gives_no_attributes_either(tmp_path: Path) -> None:
    write(tmp_path / "v.h5", threshold=0.5)
    (tmp_path / "here").mkdir()
    for folder, link in ((tmp_path, "v.h5"), (tmp_path / "here", "../v.h5")):
        with h5py.File(folder / "link.h5", "w") as file:
            file["main"] = h5py.ExternalLink(link, "/main")
    assert read_attributes(tmp_path / "link.h5") == {"threshold": 0.5}
    with pytest.raises(VolumeError, match="out of the folder"):
        read_attributes(tmp_path / "here" / "link.h5")
