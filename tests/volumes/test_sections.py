"""Sections as files of their own: PNG, JPEG, BMP and TIFF, in a folder or by a pattern."""

import os
import pickle
from collections.abc import Sequence
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
import tifffile
from PIL import Image

from connectomics.errors import VolumeError
from connectomics.geometry import Box
from connectomics.volumes.labelled import name_volumes
from connectomics.volumes.read import open_volume
from connectomics.volumes.source import Role
from connectomics.volumes.state import state_of_files
from tests.volumes.foreign import U8, holds

TYPES = {".png": ("?", "u1", "u2"), ".bmp": ("?", "u1"), ".tif": ("u1", "u2", "f4")}
LOSSLESS = [(suffix, dtype) for suffix, types in TYPES.items() for dtype in types]


def write(folder: Path, sections: Sequence[np.ndarray], suffix: str = ".png", first: int = 8) -> Path:
    """Write sections as s8, s9, s10, ...: the order of numbers, not of letters."""
    folder.mkdir(exist_ok=True)
    for z, section in enumerate(sections):
        path = folder / f"s{z + first}{suffix}"
        tifffile.imwrite(path, section) if suffix == ".tif" else Image.fromarray(section).save(path)
    return folder


def refused(location: Path | str, says: str, role: Role = "image") -> None:
    with pytest.raises(VolumeError, match=says):
        open_volume(str(location), role).read_all()


@pytest.mark.parametrize(("suffix", "dtype"), LOSSLESS)
@pytest.mark.parametrize("role", ["image", "label"])
def test_a_folder_and_a_pattern_hold_the_voxels_in_the_order_of_their_numbers(
    tmp_path: Path, suffix: str, dtype: str, role: Role
) -> None:
    voxels = (U8 % 2 if dtype == "?" else U8 * 200).astype(dtype) if dtype != "u1" else U8
    folder = write(tmp_path / "stack", voxels, suffix)
    for location in (folder, folder / f"*{suffix}", folder / "s*", folder / f"s[0-9]*{suffix}"):
        info = holds(location, voxels, role)
        assert (info.dtype, info.notes, info.spacing_nm) == (np.dtype(dtype), (), None)


def test_a_grey_jpeg_is_read_as_its_own_library_reads_it(tmp_path: Path) -> None:
    folder = write(tmp_path / "stack", U8, ".jpg")
    voxels = np.stack([imagecodecs.jpeg8_decode((folder / f"s{z}.jpg").read_bytes()) for z in range(8, 13)])
    holds(folder, voxels)
    holds(folder / "s9.jpg", voxels[1:2])
    refused(folder, "is a JPEG, which blurs the ids of a label", "label")


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".tif"])
@pytest.mark.parametrize("channels", [2, 3, 4])
def test_equal_channels_are_grey_and_others_are_told(tmp_path: Path, suffix: str, channels: int) -> None:
    if channels == 2 and suffix != ".png":
        pytest.skip("only PNG has grey values with alpha")
    if channels == 4 and suffix == ".bmp":
        pytest.skip("Pillow writes BMP without alpha")
    alpha = np.full_like(U8, 255)
    colours = np.stack([U8, alpha] if channels == 2 else [U8, U8, U8, alpha][:channels], axis=-1)
    assert holds(write(tmp_path / "grey", colours, suffix)).channels == 1
    if channels > 2:
        colours[3, 4, 5, 2] ^= 1
        refused(write(tmp_path / "colour", colours, suffix), r"s11\.... is in colour \(pixel \(4, 5\)")
        refused(tmp_path / "colour", "a label holds numbers: save it as grey values", "label")
        colours[3, 4, 5, 2] ^= 1
    if channels != 3:
        colours[2, 1, 1, -1] = 254
        refused(write(tmp_path / "clear", colours, suffix), r"s10\.... is transparent in places")


@pytest.mark.parametrize("channels", [3, 4])
def test_colours_of_16_bits_are_compared_in_all_of_them(tmp_path: Path, channels: int) -> None:
    wide = U8.astype(np.uint16) * 257
    colours = np.stack([wide, wide, wide, np.full_like(wide, 65535)][:channels], axis=-1)
    for z, section in enumerate(colours):
        (tmp_path / f"s{z}.png").write_bytes(imagecodecs.png_encode(section))
    holds(tmp_path, wide)
    colours[4, 0, 0, 1] ^= 1
    (tmp_path / "s4.png").write_bytes(imagecodecs.png_encode(colours[4]))
    refused(tmp_path, r"s4.png is in colour")


def test_a_palette_is_grey_values_in_an_image_and_ids_in_a_label(tmp_path: Path) -> None:
    numbers = U8 % 4
    greys = np.array([7, 90, 30, 255], np.uint8)
    for z, section in enumerate(numbers):
        picture = Image.fromarray(section).convert("P")
        picture.putdata(section.reshape(-1).tolist())
        picture.putpalette(np.repeat(greys, 3).tolist())
        picture.save(tmp_path / f"s{z}.png", bits=8)
    holds(tmp_path, greys[numbers])
    assert "numbers of its colours are taken as ids" in holds(tmp_path, numbers, "label").notes[0]
    picture.putpalette([0, 0, 0, 255, 0, 0, 0, 255, 0, 0, 0, 255])
    picture.save(tmp_path / "s4.png", bits=8)
    refused(tmp_path, "s4.png is in colour")
    holds(tmp_path, numbers, "label")


@pytest.mark.parametrize("bits", [2, 4])
def test_ids_of_a_few_bits_are_not_widened(tmp_path: Path, bits: int) -> None:
    import struct
    import zlib

    def chunk(name: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    ids = np.arange(16).reshape(2, 8) % 2**bits
    packed = [sum(int(n) << (8 - bits * (i + 1)) for i, n in enumerate(group)) for group in ids.reshape(-1, 8 // bits)]
    rows = np.array(packed, np.uint8).reshape(2, bits)
    content = zlib.compress(b"".join(b"\0" + row.tobytes() for row in rows))
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 8, 2, bits, 0, 0, 0, 0))
    (tmp_path / "s.png").write_bytes(b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", content) + chunk(b"IEND", b""))
    holds(tmp_path / "s.png", ids[np.newaxis].astype(np.uint8), "label")


@pytest.mark.parametrize(
    ("numbers", "says"),
    [
        ([8, 9, 10, 12], "section 11 of 8..12 is missing"), ([1, 4, 5], "sections 2 and 3 of 1..5 are missing"),
        ([1, 3, 4, 6], "sections 2 and 5 of 1..6 are missing"), ([0, 2, 4, 8], "section 6 of 0..8 is missing"),
        ([1, 5, 6], "sections 2 to 4 of 1..6 are missing"), ([0, 40, 85], "do not count up evenly, after s40.png"),
        ([0, 2, 4, 6, 8, 9, 11, 13, 15], "sections 1, 3, 5, 7 and 3 more gaps of 0..15 are missing"),
        ([1, 3, 4, 10**15], "sections 2 and 5 to 999999999999999 of 1..1000000000000000 are missing"),
    ],
)  # fmt: skip
def test_missing_numbers_are_told_in_one_line(tmp_path: Path, numbers: list[int], says: str) -> None:
    for z, number in enumerate(numbers):
        Image.fromarray(U8[z % 5]).save(tmp_path / f"s{number}.png")
    notes = open_volume(str(tmp_path)).info.notes
    assert len(notes) == 1
    assert says in notes[0]


@pytest.mark.parametrize(
    "names",
    [
        ["x1_s08", "x1_s09", "x1_s10"], ["2024_z3", "2024_z4"], ["a", "b"], ["s8_z320", "s9_z360", "s10_z400"],
        ["s0²", "s1²"], ["0001", "0002"],
    ],
)  # fmt: skip
def test_names_that_count_up_are_not_complained_of(tmp_path: Path, names: list[str]) -> None:
    for z, name in enumerate(names):
        Image.fromarray(U8[z]).save(tmp_path / f"{name}.png")
    assert holds(tmp_path, U8[: len(names)]).notes == ()


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_a_section_of_another_size_or_type_is_named_before_a_voxel_is_read(tmp_path: Path, suffix: str) -> None:
    write(tmp_path / "size", [*U8[:3], U8[3, :-1]], suffix)
    write(tmp_path / "type", [*U8[:3], U8[3].astype(np.uint16)], suffix)
    with pytest.raises(VolumeError, match=r"s11\.... has 5 x 7 pixels of uint8, s8\.... has 6 x 7 pixels of uint8"):
        open_volume(str(tmp_path / "size"))
    with pytest.raises(VolumeError, match=r"s11\.... has 6 x 7 pixels of uint16"):
        open_volume(str(tmp_path / "type"))


def test_a_section_that_changes_later_is_told(tmp_path: Path) -> None:
    source = open_volume(str(write(tmp_path / "stack", U8)))
    Image.fromarray(U8[2, :, :-1]).save(tmp_path / "stack" / "s10.png")
    with pytest.raises(VolumeError, match=r"s10.png has \(6, 6\) pixels"):
        source.read_all()


def test_mixed_kinds_are_refused_and_a_pattern_chooses_one(tmp_path: Path) -> None:
    write(tmp_path / "stack", U8)
    write(tmp_path / "stack", U8 + 1, ".tif")
    (tmp_path / "stack" / "notes.txt").touch()
    (tmp_path / "stack" / ".s1.png").touch()
    refused(tmp_path / "stack", r"holds sections of several kinds \(.png, .tif\); name one: '.*/stack/\*.png'")
    holds(tmp_path / "stack" / "*.tif", U8 + 1)
    refused(tmp_path / "stack" / "*", "several kinds")
    refused(tmp_path / "stack" / "*.txt", "matches no section")
    refused(tmp_path / "stack" / "t*.png", "matches no section")
    refused(tmp_path / "nowhere" / "*.png", "matches no section")
    refused(f"{tmp_path / 'stack'}/*.tif:/main", "no dataset|matches no section")


def test_a_folder_with_one_tiff_of_many_pages_is_that_tiff(tmp_path: Path) -> None:
    (tmp_path / "stack").mkdir()
    tifffile.imwrite(tmp_path / "stack" / "all.tif", U8)
    holds(tmp_path / "stack")
    tifffile.imwrite(tmp_path / "stack" / "more.tif", U8)
    refused(tmp_path / "stack", "all.tif has 5 pages.*in a folder each file is one section")


def test_signs_of_patterns_in_names_that_exist_are_names(tmp_path: Path) -> None:
    folder = write(tmp_path / "stack [1]", U8)
    holds(folder)
    holds(folder / "s?.png", U8[:2])
    Image.fromarray(U8[0]).save(folder / "s[8].png")
    holds(folder / "s[8].png", U8[:1])


def test_a_pipe_among_the_sections_is_refused(tmp_path: Path) -> None:
    write(tmp_path / "stack", U8)
    os.mkfifo(tmp_path / "stack" / "s13.png")
    refused(tmp_path / "stack", "is a named pipe")
    refused(tmp_path / "stack" / "*.png", "is a named pipe")


def test_a_turned_bit_in_a_png_is_noticed_or_without_effect(tmp_path: Path) -> None:
    voxels = U8.astype(np.uint16) * 257
    Image.fromarray(voxels[0]).save(tmp_path / "s.png")
    whole = (tmp_path / "s.png").read_bytes()
    unnoticed = 0
    for bit in range(8 * len(whole)):
        content = bytearray(whole)
        content[bit // 8] ^= 1 << bit % 8
        (tmp_path / "s.png").write_bytes(content)
        try:
            found = open_volume(str(tmp_path / "s.png")).read_all()
        except VolumeError:
            continue
        np.testing.assert_array_equal(found[0], voxels[:1])
        unnoticed += 1
    assert unnoticed == 64  # length and check sum of the mark at the end, which holds nothing


def test_a_header_that_states_more_pixels_than_the_file_can_hold_is_damaged(tmp_path: Path) -> None:
    Image.fromarray(U8[0]).save(tmp_path / "s.bmp")
    content = bytearray((tmp_path / "s.bmp").read_bytes())
    content[18:26] = (60000).to_bytes(4, "little") * 2
    (tmp_path / "s.bmp").write_bytes(content)
    refused(tmp_path / "s.bmp", "is damaged: it states 60000 x 60000 pixels")


def test_a_pattern_is_called_by_its_folder_and_its_files_are_watched(tmp_path: Path) -> None:
    folder = write(tmp_path / "stack", U8)
    assert name_volumes([str(folder / "*.png"), str(tmp_path / "b.nii.gz")]) == ["stack", "b"]
    before = state_of_files(open_volume(str(folder / "*.png")))
    assert state_of_files(open_volume(str(folder / "*.png"))) == before
    Image.fromarray(U8[0]).save(folder / "s13.png")
    assert state_of_files(open_volume(str(folder / "*.png"))) != before


def test_sections_are_read_by_workers(tmp_path: Path) -> None:
    source = pickle.loads(pickle.dumps(open_volume(str(write(tmp_path / "stack", U8)))))
    np.testing.assert_array_equal(source.read(Box((3, 1, 2), (5, 4, 6)))[0], U8[3:5, 1:4, 2:6])
