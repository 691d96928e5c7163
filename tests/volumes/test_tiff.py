"""TIFF as Fiji, Bio-Formats, tifffile and PIL write it."""

import os
import pickle
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from connectomics.errors import VolumeError
from connectomics.geometry import Box
from connectomics.volumes.read import open_volume
from tests.volumes.foreign import NM, U8, holds

OME = {
    "PhysicalSizeX": 4, "PhysicalSizeXUnit": "nm", "PhysicalSizeY": 0.004, "PhysicalSizeYUnit": "µm",
    "PhysicalSizeZ": 400, "PhysicalSizeZUnit": "Å",
}  # fmt: skip
TWO = np.stack([U8, U8 + 1])
ORDERS = {
    "ZYX": (U8, U8), "CZYX": (TWO, TWO), "ZCYX": (TWO.swapaxes(0, 1), TWO), "TCZYX": (U8[None, None], U8),
    "TZCYX": (TWO.swapaxes(0, 1)[None], TWO), "CTZYX": (TWO[:, None], TWO), "TZYX": (U8[None], U8),
    "CYX": (U8, U8[:, None]), "YX": (U8[2], U8[2:3]),
}  # fmt: skip
"""Axes as they are stored: the voxels, and the same as (channel, z, y, x)."""


@pytest.mark.parametrize("axes", ORDERS)
@pytest.mark.parametrize("compression", [None, "zlib"])
def test_every_order_of_axes_that_ome_states_is_read(tmp_path: Path, axes: str, compression: str | None) -> None:
    stored, meant = ORDERS[axes]
    tifffile.imwrite(tmp_path / "a.ome.tif", stored, metadata={"axes": axes, **OME}, compression=compression)
    assert holds(tmp_path / "a.ome.tif", meant).spacing_nm == NM


@pytest.mark.parametrize("axes", ["ZYX", "ZCYX", "TZCYX", "TZYX"])
def test_every_order_of_axes_that_imagej_states_is_read(tmp_path: Path, axes: str) -> None:
    stored, meant = ORDERS[axes]
    words = {"axes": axes, "spacing": 0.05, "unit": "um"}
    tifffile.imwrite(tmp_path / "a.tif", stored, imagej=True, metadata=words, resolution=(1 / 0.0046, 1 / 0.0046))
    assert holds(tmp_path / "a.tif", meant).spacing_nm == (50.0, 4.6, 4.6)


def test_a_stack_whose_first_page_alone_is_listed_is_read_whole(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "f.tif", U8, imagej=True, metadata={"axes": "ZYX"}, truncate=True)
    holds(tmp_path / "f.tif")
    whole = (tmp_path / "f.tif").read_bytes()
    (tmp_path / "cut.tif").write_bytes(whole[:-50])
    with pytest.raises(VolumeError, match="states 5 pages and has 1; 4 are missing"):
        open_volume(str(tmp_path / "cut.tif"))


@pytest.mark.parametrize("share", [0.3, 0.6, 0.9])
def test_a_broken_chain_of_pages_is_refused(tmp_path: Path, share: float) -> None:
    pages = [Image.fromarray(section) for section in np.concatenate([U8] * 4)]
    pages[0].save(tmp_path / "p.tif", save_all=True, append_images=pages[1:], compression="tiff_deflate")
    holds(tmp_path / "p.tif", np.concatenate([U8] * 4))
    whole = (tmp_path / "p.tif").read_bytes()
    (tmp_path / "cut.tif").write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(VolumeError, match=r"is damaged: \d+ pages are there, and at least 1 is missing"):
        open_volume(str(tmp_path / "cut.tif"))


def test_pages_that_metadata_count_must_be_there(tmp_path: Path) -> None:
    pages = [Image.fromarray(section) for section in U8]
    words = "ImageJ=1.53\nimages=9\nslices=9\n"
    pages[0].save(tmp_path / "p.tif", save_all=True, append_images=pages[1:], description=words)
    with pytest.raises(VolumeError, match="states 9 pages and has 5; 4 are missing"):
        open_volume(str(tmp_path / "p.tif"))


@pytest.mark.parametrize(("axes", "says"), [("TYX", "state them as z"), ("TZYX", "save one time point")])
def test_time_is_no_axis_of_a_volume(tmp_path: Path, axes: str, says: str) -> None:
    stored = {"TYX": U8, "TZYX": TWO}[axes]
    tifffile.imwrite(tmp_path / "t.ome.tif", stored, metadata={"axes": axes})
    with pytest.raises(VolumeError, match=says):
        open_volume(str(tmp_path / "t.ome.tif"))


@pytest.mark.parametrize("imagej", [True, False])
def test_colours_that_differ_are_refused(tmp_path: Path, imagej: bool) -> None:
    colours = np.stack([U8, U8, U8], axis=-1)
    colours[:, 2, 3, 1] += 1
    words = {"axes": "ZYXS"} if imagej else None
    tifffile.imwrite(tmp_path / "c.tif", colours, photometric="rgb", imagej=imagej, metadata=words)
    with pytest.raises(VolumeError, match=r"is in colour \(pixel \(2, 3\) along \(y, x\) is 17, 18, 17\)"):
        open_volume(str(tmp_path / "c.tif"))
    colours[0] = U8[0, ..., np.newaxis]
    words = {"axes": "ZYXS"} if imagej else None
    tifffile.imwrite(tmp_path / "c.tif", colours, photometric="rgb", imagej=imagej, metadata=words)
    source = open_volume(str(tmp_path / "c.tif"))
    with pytest.raises(VolumeError, match="is in colour"):
        source.read_all()


@pytest.mark.parametrize("planar", ["contig", "separate"])
@pytest.mark.parametrize("compression", [None, "zlib"])
def test_colours_that_are_equal_are_grey(tmp_path: Path, planar: str, compression: str | None) -> None:
    axis = -1 if planar == "contig" else 1
    tifffile.imwrite(tmp_path / "c.tif", np.stack([U8] * 3, axis), photometric="rgb", planarconfig=planar,
                     compression=compression)  # fmt: skip
    assert holds(tmp_path / "c.tif").channels == 1


@pytest.mark.parametrize("compression", ["zstd", "lzw", "packbits", "lzma", "deflate"])
@pytest.mark.parametrize("byteorder", ["<", ">"])
def test_compressed_pages_are_read(tmp_path: Path, compression: str, byteorder: str) -> None:
    tifffile.imwrite(tmp_path / "z.tif", U8.astype(np.uint16), compression=compression, byteorder=byteorder)
    assert holds(tmp_path / "z.tif", U8.astype(np.uint16)).dtype == np.uint16


def test_jpeg_pages_are_read(tmp_path: Path) -> None:
    tifffile.imwrite(
        tmp_path / "j.tif", np.full((3, 32, 32), 90, np.uint8), compression="jpeg", photometric="minisblack"
    )
    holds(tmp_path / "j.tif", np.full((3, 32, 32), 90, np.uint8))


def test_a_compression_that_nothing_undoes_is_told_when_the_file_is_opened(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "z.tif", U8, compression="zlib")
    with tifffile.TiffFile(tmp_path / "z.tif", mode="r+") as file:
        for page in file.pages:
            page.tags["Compression"].overwrite(34892)  # lossy JPEG of DNG
    with pytest.raises(VolumeError, match="is compressed"):
        open_volume(str(tmp_path / "z.tif"))


@pytest.mark.parametrize(("photometric", "says"), [("palette", "have a palette"), ("miniswhite", "0 is white")])
def test_numbers_that_are_no_brightness_are_told_of_an_image(tmp_path: Path, photometric: str, says: str) -> None:
    colours = {"colormap": np.zeros((3, 256), np.uint16)} if photometric == "palette" else {}
    tifffile.imwrite(tmp_path / "c.tif", U8, photometric=photometric, **colours)
    assert says in holds(tmp_path / "c.tif").notes[0]
    assert holds(tmp_path / "c.tif", role="label").notes == ()


@pytest.mark.parametrize(("tag", "code"), [("PhotometricInterpretation", 4242), ("Compression", 4242)])
def test_a_code_that_tiff_does_not_know_is_told_by_its_number_or_does_not_matter(
    tmp_path: Path, tag: str, code: int
) -> None:
    tifffile.imwrite(tmp_path / "c.tif", U8, compression="zlib")
    with tifffile.TiffFile(tmp_path / "c.tif", mode="r+") as file:
        for page in file.pages:
            page.tags[tag].overwrite(code)
    if tag == "Compression":
        with pytest.raises(VolumeError, match=f"is compressed \\({code}\\)"):
            open_volume(str(tmp_path / "c.tif"))
    else:
        holds(tmp_path / "c.tif")


def test_a_volume_that_metadata_spread_over_several_files_is_refused(tmp_path: Path) -> None:
    here, there = ("urn:uuid:00000000-0000-4000-8000-00000000000" + digit for digit in "12")
    parts = "".join(
        f'<TiffData IFD="0" PlaneCount="5" FirstZ="{z}"><UUID FileName="{name}">{uuid}</UUID></TiffData>'
        for z, name, uuid in ((0, "m.ome.tif", here), (5, "../other.ome.tif", there))
    )
    size = 'SizeX="7" SizeY="6" SizeZ="10" SizeC="1" SizeT="1"'
    xml = (
        f'<?xml version="1.0"?><OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06" UUID="{here}"><Image '
        f'ID="Image:0"><Pixels ID="Pixels:0" DimensionOrder="XYZCT" Type="uint8" {size}>{parts}</Pixels></Image></OME>'
    )
    for content in (xml, xml.replace(parts, parts.partition("</TiffData>")[0] + "</TiffData>")):
        tifffile.imwrite(tmp_path / "m.ome.tif", U8, description=content, metadata=None)
        with pytest.raises(VolumeError, match="join them in one file"):
            open_volume(str(tmp_path / "m.ome.tif"))


def test_unnamed_axes_are_those_of_every_other_format_and_told(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", TWO)
    assert "taken as (channel, z, y, x)" in holds(tmp_path / "a.tif", TWO).notes[0]


@pytest.mark.parametrize("bigtiff", [True, False])
@pytest.mark.parametrize("byteorder", ["<", ">"])
def test_byte_orders_and_sizes_of_offsets_make_no_difference(tmp_path: Path, bigtiff: bool, byteorder: str) -> None:
    tifffile.imwrite(tmp_path / "b.tif", U8.astype(np.float32), bigtiff=bigtiff, byteorder=byteorder)
    info = holds(tmp_path / "b.tif", U8.astype(np.float32))
    assert info.dtype.isnative


def test_a_file_of_several_images_is_refused(tmp_path: Path) -> None:
    with tifffile.TiffWriter(tmp_path / "two.tif") as file:
        file.write(U8)
        file.write(U8[:, :3])
    with pytest.raises(VolumeError, match="holds 2 images"):
        open_volume(str(tmp_path / "two.tif"))


@pytest.mark.parametrize(
    ("unit", "expected"),
    [("nm", NM), ("pixel", None), ("micron", (40000.0, 4000.0, 4000.0)), ("\\u00B5m", (40000.0, 4000.0, 4000.0))],
)
def test_imagej_units(tmp_path: Path, unit: str, expected: object) -> None:
    words = {"axes": "ZYX", "spacing": 40, "unit": unit}
    tifffile.imwrite(tmp_path / "a.tif", U8, imagej=True, metadata=words, resolution=(0.25, 0.25))
    assert holds(tmp_path / "a.tif").spacing_nm == expected


def test_dots_per_inch_are_no_voxel_size_and_a_part_of_one_is_told(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", U8, resolution=(300, 300), resolutionunit="INCH")
    assert holds(tmp_path / "a.tif").spacing_nm is None
    plane = {key: value for key, value in OME.items() if "Z" not in key}
    tifffile.imwrite(tmp_path / "b.ome.tif", U8, metadata={"axes": "ZYX", **plane})
    info = holds(tmp_path / "b.ome.tif")
    assert info.spacing_nm is None
    assert "a part of the voxel size only (y 4, x 4 nm)" in info.notes[0]


def test_a_folder_of_sections_tells_of_gaps_and_opens_no_pipe(tmp_path: Path) -> None:
    for z in (8, 9, 10, 12):
        tifffile.imwrite(tmp_path / f"s{z}.tif", U8[z - 8])
    info = holds(tmp_path, U8[[0, 1, 2, 4]])
    assert info.notes == ("by their names, section 11 of 8..12 is missing",)
    os.mkfifo(tmp_path / "s11.tif")
    with pytest.raises(VolumeError, match="is a named pipe"):
        open_volume(str(tmp_path))


def test_pages_are_read_by_threads_and_by_workers(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "z.tif", np.concatenate([U8] * 8), compression="zlib")
    source = open_volume(str(tmp_path / "z.tif"))
    boxes = [Box((z, 0, 0), (z + 1, 6, 7)) for z in range(40)] * 5
    with ThreadPoolExecutor(4) as pool:
        for box, read in zip(boxes, pool.map(source.read, boxes), strict=True):
            np.testing.assert_array_equal(read[0, 0], U8[box.start[0] % 5])
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(source)).read_all(), source.read_all())


@pytest.mark.parametrize("compression", [None, "zlib"])
def test_a_page_that_states_more_than_it_can_hold_is_refused_before_memory_is_taken(
    tmp_path: Path, compression: str | None
) -> None:
    (tmp_path / "s").mkdir()
    for path, voxels in (
        (tmp_path / "a.tif", U8),
        (tmp_path / "s" / "1.tif", U8[0]),
        (tmp_path / "s" / "2.tif", U8[0]),
    ):
        tifffile.imwrite(path, voxels, compression=compression, metadata=None)
        with tifffile.TiffFile(path, mode="r+") as file:
            for page in file.pages:
                page.tags["ImageLength"].overwrite(2**31 + 6)
    for path in (tmp_path / "a.tif", tmp_path / "s"):
        with pytest.raises(VolumeError, match=r"damaged|cut off"):
            open_volume(str(path))
