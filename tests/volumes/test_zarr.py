"""Zarr of other programs: OME-Zarr, funlib and DaCapo, named dimensions, chunks that are not there."""

import os
from pathlib import Path
from typing import Any

import numcodecs
import numpy as np
import pytest
import zarr

from connectomics.errors import VolumeError
from connectomics.volumes.read import open_volume
from connectomics.volumes.unpacked_size import STATED_SIZES
from tests.volumes.foreign import NM, U8, holds

TWO = np.stack([U8, U8 + 1])
FORMATS = {"0.4": 2, "0.5": 3}
UM = [0.04, 0.004, 0.004]


def write_array(group: zarr.Group, name: str, voxels: np.ndarray, **stated: Any) -> None:
    array = group.create_array(name, shape=voxels.shape, dtype=voxels.dtype, chunks=voxels.shape)
    array[:] = voxels
    array.attrs.update(stated)


def scale(*numbers: float) -> dict[str, Any]:
    return {"type": "scale", "scale": list(numbers)}


def shift(*numbers: float) -> dict[str, Any]:
    return {"type": "translation", "translation": list(numbers)}


def write_ome(
    path: Path, version: str, axes: str, levels: dict[str, np.ndarray], steps: list[list[dict]], after: list[dict],
    unit: str | None = "micrometer", inside: str = "",
) -> None:  # fmt: skip
    """Write an image as the specification has it."""
    root = zarr.open_group(str(path), mode="w", zarr_format=FORMATS[version])  # type: ignore[arg-type]
    group = root.create_group(inside) if inside else root
    for name, voxels in levels.items():
        write_array(group, name, voxels)
    units = {} if unit is None else {"unit": unit}
    named = [{"name": a, "type": "space", **units} if a in "zyx" else {"name": a, "type": "other"} for a in axes]
    datasets = [{"path": n, "coordinateTransformations": s} for n, s in zip(levels, steps, strict=True)]
    scales = [{"axes": named, "datasets": datasets, "coordinateTransformations": after}]
    group.attrs.update(
        {"multiscales": scales} if version == "0.4" else {"ome": {"version": "0.5", "multiscales": scales}}
    )


@pytest.mark.parametrize("version", FORMATS)
@pytest.mark.parametrize(
    ("axes", "stored", "meant"),
    [
        ("zyx", U8, U8), ("czyx", TWO, TWO), ("tczyx", U8[None, None], U8), ("tczyx", TWO[None], TWO),
        ("tzyx", U8[None], U8), ("xyz", U8.T, U8), ("zyxc", np.moveaxis(TWO, 0, -1), TWO),
    ],
)  # fmt: skip
def test_level_0_of_a_group_is_read_where_it_lies(
    tmp_path: Path, version: str, axes: str, stored: np.ndarray, meant: np.ndarray
) -> None:
    length = dict(zip("zyx", UM, strict=True))
    first = scale(*(length.get(axis, 1) / 2 for axis in axes))
    at = shift(*({"z": 0.2}.get(axis, 0) for axis in axes))
    second = scale(*(length.get(axis, 1) for axis in axes))
    path = tmp_path / "v.ome.zarr"
    twice = [scale(*(2 if axis in "zyx" else 1 for axis in axes))]
    write_ome(path, version, axes, {"0": stored, "1": stored}, [[first, at], [second]], twice)
    for location in (path, f"{path}:/", f"{path}:/0"):
        info = holds(location, meant)
        assert (info.spacing_nm, info.offset_nm) == (NM, (400.0, 0.0, 0.0))
    assert holds(f"{path}:/1", meant).spacing_nm == (80.0, 8.0, 8.0)
    assert holds(path, meant).notes == ("0, level 0 of this OME-Zarr, is taken as image",)
    path.rename(tmp_path / "without_suffix")
    holds(tmp_path / "without_suffix", meant)


@pytest.mark.parametrize("version", FORMATS)
def test_the_path_of_a_group_inside_is_enough(tmp_path: Path, version: str) -> None:
    path = tmp_path / "v.zarr"
    write_ome(
        path, version, "zyx", {"s0": U8, "s1": U8[:, ::2]}, [[scale(*UM)], [scale(*UM)]], [], inside="volumes/raw"
    )
    for location in (path, f"{path}:/volumes/raw", f"{path}:/volumes/raw/s0"):
        assert holds(location).spacing_nm == NM
    write_ome(path, version, "zyx", {"s0": U8}, [[scale(*UM)]], [], inside="em/raw")
    with pytest.raises(VolumeError, match=r"holds only em/raw, .* no label"):
        open_volume(str(path), "label")


@pytest.mark.parametrize(
    ("unit", "steps", "expected"),
    [
        ("nanometer", [scale(40, 4, 4)], NM), ("angstrom", [scale(400, 40, 40)], NM), (None, [scale(1, 1, 1)], None),
        (None, [scale(40, 4, 4)], NM), ("micrometer", [], None),
    ],
)  # fmt: skip
def test_units_and_what_states_none(tmp_path: Path, unit: str | None, steps: list, expected: object) -> None:
    write_ome(tmp_path / "v.zarr", "0.5", "zyx", {"0": U8}, [steps], [], unit)
    assert holds(tmp_path / "v.zarr").spacing_nm == expected


def test_damaged_metadata_of_an_image_are_told(tmp_path: Path) -> None:
    for i, step in enumerate(({"type": "affine"}, scale(1, 1), {"type": "scale", "scale": "x"}, "x")):
        write_ome(tmp_path / f"{i}.zarr", "0.5", "zyx", {"0": U8}, [[step]], [])  # type: ignore[list-item]
        with pytest.raises(VolumeError, match="coordinateTransformations hold"):
            open_volume(str(tmp_path / f"{i}.zarr"))
    zarr.open_group(str(tmp_path / "n.zarr"), mode="w").attrs["multiscales"] = [{"datasets": 3}]
    with pytest.raises(VolumeError, match="not as OME-Zarr has it"):
        open_volume(str(tmp_path / "n.zarr"))


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("version", FORMATS)
def test_files_that_ome_zarr_writes_are_read(tmp_path: Path, version: str) -> None:
    pytest.importorskip("ome_zarr")
    from ome_zarr.format import FormatV04, FormatV05
    from ome_zarr.io import parse_url
    from ome_zarr.writer import write_image

    form = {"0.4": FormatV04, "0.5": FormatV05}[version]()
    located = parse_url(tmp_path / "v.ome.zarr", mode="w", fmt=form)
    length = dict(zip("zyx", UM, strict=True))
    units = dict.fromkeys("zyx", "micrometer")
    write_image(U8[None, None], zarr.group(store=located.store), axes="tczyx", scale=length, axes_units=units, fmt=form)
    assert holds(tmp_path / "v.ome.zarr").spacing_nm == NM


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_funlib_and_dacapo_state_size_place_units_and_axes(tmp_path: Path, zarr_format: int) -> None:
    root = zarr.open_group(str(tmp_path / "v.zarr"), mode="w", zarr_format=zarr_format)  # type: ignore[arg-type]
    stated = {"axis_names": ["c^", "z", "y", "x"], "voxel_size": [40, 4, 4], "offset": [80, 0, 0], "units": ["nm"] * 3}
    write_array(root, "volumes/raw", TWO, **stated)
    info = holds(tmp_path / "v.zarr", TWO)
    assert (info.spacing_nm, info.offset_nm) == (NM, (80.0, 0.0, 0.0))


def test_named_dimensions_are_believed(tmp_path: Path) -> None:
    array = zarr.create_array(
        str(tmp_path / "v.zarr"), shape=U8.T.shape, dtype="u1", chunks=(3, 3, 3), dimension_names=["x", "y", "z"]
    )
    array[:] = U8.T
    array.attrs["resolution"] = [4, 4, 40]
    assert holds(tmp_path / "v.zarr").spacing_nm == NM


@pytest.mark.parametrize("shards", [None, (2, 6, 8)])
def test_chunks_that_are_not_there_are_told(tmp_path: Path, shards: tuple[int, int, int] | None) -> None:
    voxels = np.ones((6, 6, 8), np.uint8)
    array = zarr.create_array(str(tmp_path / "v.zarr"), shape=voxels.shape, dtype="u1", chunks=(2, 3, 4), shards=shards)
    array[:] = voxels
    assert open_volume(str(tmp_path / "v.zarr")).info.notes == ()
    next(file for file in (tmp_path / "v.zarr" / "c").rglob("*") if file.is_file()).unlink()
    of = 3 if shards else 12
    told = (f"1 of {of} chunks were never written; their voxels read as 0",)
    assert open_volume(str(tmp_path / "v.zarr")).info.notes == told


def test_a_pipe_inside_a_store_is_not_opened(tmp_path: Path) -> None:
    array = zarr.create_array(str(tmp_path / "v.zarr"), shape=U8.shape, dtype="u1", chunks=(1, 6, 7))
    array[:] = U8
    chunk = tmp_path / "v.zarr" / "c" / "3" / "0" / "0"
    chunk.unlink()
    os.mkfifo(chunk)
    with pytest.raises(VolumeError, match="no regular file"):
        open_volume(str(tmp_path / "v.zarr")).read_all()
    (tmp_path / "v.zarr" / "zarr.json").unlink()
    os.mkfifo(tmp_path / "v.zarr" / "zarr.json")
    with pytest.raises(VolumeError, match="no regular file"):
        open_volume(str(tmp_path / "v.zarr"))


@pytest.mark.parametrize("codec", ["blosc", "zstd"])
@pytest.mark.parametrize("zarr_format", [2, 3])
def test_a_chunk_that_states_more_than_it_can_hold_is_refused_before_memory_is_taken(
    tmp_path: Path, codec: str, zarr_format: int
) -> None:
    three = {"blosc": zarr.codecs.BloscCodec(), "zstd": zarr.codecs.ZstdCodec()}
    two = {"blosc": numcodecs.Blosc(), "zstd": numcodecs.Zstd()}
    array = zarr.create_array(
        str(tmp_path / "a.zarr"), shape=(4, 40, 50), dtype="u2", chunks=(4, 40, 50), zarr_format=zarr_format,
        compressors=(three if zarr_format == 3 else two)[codec],
    )  # fmt: skip
    array[:] = np.arange(8000).reshape(4, 40, 50)
    chunk = tmp_path / "a.zarr" / ("c/0/0/0" if zarr_format == 3 else "0.0.0")
    content = bytearray(chunk.read_bytes())
    open_volume(str(tmp_path / "a.zarr")).read_all()
    if codec == "blosc":
        content[4:8] = (3 * 2**30).to_bytes(4, "little")
    else:  # eight bytes of size in place of two
        content[4:7] = bytes([content[4] | 0xC0]) + (3 * 2**30).to_bytes(8, "little")
    chunk.write_bytes(content)
    with pytest.raises(VolumeError, match="is damaged: it states 3221225472 bytes, a chunk has 16000"):
        open_volume(str(tmp_path / "a.zarr")).read_all()


def test_the_sizes_that_chunks_state_are_those_that_the_codecs_unpack() -> None:
    for size in (1, 200, 256, 257, 65_791, 65_792, 100_000):
        content = bytes(range(256)) * (size // 256 + 1)
        for codec in (numcodecs.Zstd(), numcodecs.Zstd(checksum=True), numcodecs.Blosc(), numcodecs.Blosc("zstd")):
            packed = codec.encode(content[:size])
            stated = STATED_SIZES[type(codec).__name__](bytes(packed))
            assert size <= stated <= 2 * size + 2**16
            assert stated == size or type(codec) is numcodecs.Blosc
    for size_of in STATED_SIZES.values():
        assert size_of(b"") == size_of(b"\0" * 3) == 0
