"""NumPy's files, NIfTI and MRC."""

import gzip
import pickle
import struct
import zipfile
from pathlib import Path

import mrcfile
import nibabel
import numpy as np
import pytest

from connectomics.errors import VolumeError
from connectomics.geometry import Box
from connectomics.volumes.read import open_volume
from tests.volumes.foreign import NM, U8, holds

TWO = np.stack([U8, U8 + 1])


def refused(location: Path | str, says: str) -> None:
    with pytest.raises(VolumeError, match=says):
        open_volume(str(location)).read_all()


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("dtype", ["u1", ">u2", "<f4", ">f8", "?"])
def test_an_array_is_read_in_either_order(tmp_path: Path, order: str, dtype: str) -> None:
    np.save(tmp_path / "a.npy", np.asarray(U8.astype(dtype), order=order))  # type: ignore[call-overload]
    info = holds(tmp_path / "a.npy", U8.astype(dtype))
    assert info.dtype.isnative
    assert info.spacing_nm is None
    np.savez_compressed(tmp_path / "a.npz", np.asarray(U8.astype(dtype), order=order))  # type: ignore[call-overload]
    holds(tmp_path / "a.npz", U8.astype(dtype))


def test_axes_are_those_of_every_format_that_states_none(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", TWO)
    assert "taken as (channel, z, y, x)" in holds(tmp_path / "a.npy", TWO).notes[0]
    np.save(tmp_path / "a.npy", U8[np.newaxis, np.newaxis])
    assert holds(tmp_path / "a.npy").notes == ()
    np.save(tmp_path / "a.npy", U8[0])
    refused(tmp_path / "a.npy", r"has shape \(6, 7\)")
    np.save(tmp_path / "a.npy", U8[:0])
    refused(tmp_path / "a.npy", r"has shape \(0, 6, 7\)")
    np.save(tmp_path / "a.npy", U8.astype(complex))
    refused(tmp_path / "a.npy", "holds complex128")
    np.save(tmp_path / "a.npy", np.stack([U8] * 3, axis=-1))
    refused(tmp_path / "a.npy", r"has shape \(5, 6, 7, 3\), which ends in 3 as colours do")


def test_of_several_arrays_one_is_named_as_in_every_container(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", raw=U8, clefts=U8 + 1)
    refused(tmp_path / "a.npz", r"name one as .*\(datasets there: raw, clefts\)")
    holds(f"{tmp_path / 'a.npz'}:/clefts", U8 + 1, "label")
    holds(f"{tmp_path / 'a.npz'}:raw")
    refused(f"{tmp_path / 'a.npz'}:/ray", "did you mean 'raw'")
    refused(tmp_path / "a.npz" / "raw", "a dataset is named after a colon")
    np.savez(tmp_path / "b.npz", clefts=U8)
    refused(tmp_path / "b.npz", "holds only clefts, which by its name is no image")
    np.savez(tmp_path / "c.npz", main=U8, other=U8 + 1)
    holds(tmp_path / "c.npz")


def test_no_object_is_ever_unpickled(tmp_path: Path) -> None:
    class Bomb:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return (exec, ("raise SystemExit('it ran')",))

    objects = np.array([[[Bomb()]]], dtype=object)
    np.save(tmp_path / "a.npy", objects, allow_pickle=True)
    np.savez(tmp_path / "a.npz", objects)
    (tmp_path / "b.npy").write_bytes(pickle.dumps(Bomb()))
    for name in ("a.npy", "a.npz"):
        refused(tmp_path / name, "holds Python objects, which could run a program")
    refused(tmp_path / "b.npy", "cannot be read as NumPy array")


def test_an_array_that_is_cut_off_is_told_when_it_is_opened(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", U8)
    (tmp_path / "a.npy").write_bytes((tmp_path / "a.npy").read_bytes()[:-1])
    with pytest.raises(VolumeError, match="is cut off: its voxels reach to byte 338, it has 337"):
        open_volume(str(tmp_path / "a.npy"))


@pytest.mark.parametrize("compressed", [True, False])
def test_an_archive_that_states_more_than_it_can_hold_is_refused_before_memory_is_taken(
    tmp_path: Path, compressed: bool
) -> None:
    np.save(tmp_path / "a.npy", np.zeros((1, 1, 1), np.uint8))
    lie = (tmp_path / "a.npy").read_bytes().replace(b"(1, 1, 1), }" + b" " * 15, b"(99999, 9999, 9999), }     ")
    method = zipfile.ZIP_DEFLATED if compressed else zipfile.ZIP_STORED
    with zipfile.ZipFile(tmp_path / "a.npz", "w", method) as archive:
        archive.writestr("main.npy", lie)
    refused(tmp_path / "a.npz", "is damaged: it states")
    with zipfile.ZipFile(tmp_path / "a.npz", "w", zipfile.ZIP_LZMA) as archive:
        archive.writestr("main.npy", lie)
    refused(tmp_path / "a.npz", "packed in a way that NumPy does not use")


def test_an_archive_is_read_by_workers_and_its_check_sum_is_believed(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", main=U8)
    source = open_volume(str(tmp_path / "a.npz"))
    source.read_all()
    part = source.read(Box((1, 0, 0), (2, 6, 7)))
    part[:] = 0
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(source)).read_all()[0], U8)
    np.testing.assert_array_equal(source.read_all()[0], U8)
    content = bytearray((tmp_path / "a.npz").read_bytes())
    content[content.find(U8.tobytes()) + 9] ^= 1
    (tmp_path / "a.npz").write_bytes(content)
    refused(tmp_path / "a.npz", "Bad CRC-32")


def as_nifti(path: Path, voxels: np.ndarray = U8, unit: str | None = "micron", **fields: object) -> Path:
    image = nibabel.Nifti1Image(voxels.T, None, dtype=voxels.dtype)
    image.header["pixdim"][1:4] = fields.pop("sizes", (0.004, 0.004, 0.04))
    if unit is not None:
        image.header.set_xyzt_units(unit)
    if "affine" in fields:
        image.set_sform(fields.pop("affine"))
    image.to_filename(path)
    return path


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
@pytest.mark.parametrize("dtype", ["u1", "i2", "u2", "f4", "u8"])
def test_a_nifti_is_the_transpose_of_what_nibabel_gives(tmp_path: Path, suffix: str, dtype: str) -> None:
    path = as_nifti(tmp_path / f"a{suffix}", U8.astype(dtype))
    info = holds(path, U8.astype(dtype))
    assert (info.dtype, info.spacing_nm, info.notes) == (np.dtype(dtype), NM, ())
    np.testing.assert_array_equal(nibabel.load(path).get_fdata().T, U8)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(open_volume(str(path)))).read_all()[0], U8)


def test_nifti_2_and_either_byte_order_make_no_difference(tmp_path: Path) -> None:
    for order in "<>":
        header = nibabel.Nifti2Header(endianness=order)
        nibabel.Nifti2Image(U8.T.astype(np.int16), None, header).to_filename(tmp_path / "a.nii")
        assert holds(tmp_path / "a.nii", U8.astype(np.int16)).dtype.isnative


def test_values_that_a_nifti_scales_are_scaled(tmp_path: Path) -> None:
    path = as_nifti(tmp_path / "a.nii", U8.astype(np.int16))
    content = bytearray(path.read_bytes())
    content[112:120] = struct.pack("<2f", 0.5, -3)
    path.write_bytes(content)
    assert holds(path, U8.astype(np.float32) / 2 - 3).dtype == np.float32
    np.testing.assert_array_equal(nibabel.load(path).get_fdata().T, U8 / 2 - 3)


@pytest.mark.parametrize(
    ("unit", "sizes", "expected", "says"),
    [
        ("mm", (4e-6, 4e-6, 4e-5), NM, ""), ("meter", (4e-9, 4e-9, 4e-8), NM, ""),
        ("micron", (0.0046, 0.0046, 0.05), (50.0, 4.6, 4.6), ""),
        ("mm", (1, 1, 1), None, "says voxels of 1 x 1 x 1 mm, as programs do by default"),
        ("unknown", (4, 4, 40), None, "voxel size 40 x 4 x 4 has no unit and is not used"),
        ("unknown", (1, 1, 1), None, ""), (None, (1, 1, 1), None, ""),
    ],
)  # fmt: skip
def test_lengths_of_a_nifti(tmp_path: Path, unit: str, sizes: tuple, expected: object, says: str) -> None:
    info = holds(as_nifti(tmp_path / "a.nii", unit=unit, sizes=sizes))
    assert info.spacing_nm == expected
    assert says in " ".join(info.notes)
    assert bool(says) == bool(info.notes)


def test_the_origin_of_a_nifti_is_its_offset_where_no_axis_is_turned(tmp_path: Path) -> None:
    affine = np.diag([0.004, 0.004, 0.04, 1])
    affine[:3, 3] = (0.012, 0.008, 0.4)
    info = holds(as_nifti(tmp_path / "a.nii", affine=affine))
    np.testing.assert_allclose(info.offset_nm, (400, 8, 12), rtol=1e-5)
    affine[0, 0] *= -1
    info = holds(as_nifti(tmp_path / "a.nii", affine=affine))
    assert info.offset_nm == (0, 0, 0)
    assert "turns or flips axes" in info.notes[0]


def test_time_and_length_one_in_a_nifti(tmp_path: Path) -> None:
    holds(as_nifti(tmp_path / "a.nii", U8[np.newaxis]))
    refused(as_nifti(tmp_path / "a.nii", TWO), "save one time point")
    holds(as_nifti(tmp_path / "a.nii", TWO[:, np.newaxis]), TWO)


def test_a_nifti_that_is_cut_off_or_states_too_much_is_told(tmp_path: Path) -> None:
    path = as_nifti(tmp_path / "a.nii")
    whole = path.read_bytes()
    path.write_bytes(whole[:-1])
    with pytest.raises(VolumeError, match="is cut off"):
        open_volume(str(path))
    (tmp_path / "a.nii.gz").write_bytes(gzip.compress(whole[:-1]))
    refused(tmp_path / "a.nii.gz", "209 of 210 bytes")
    (tmp_path / "a.nii.gz").write_bytes(gzip.compress(whole)[:-9])
    refused(tmp_path / "a.nii.gz", "ended before|cut off")
    lie = bytearray(whole)
    lie[40:48] = struct.pack("<4h", 3, 30000, 30000, 30000)
    (tmp_path / "a.nii.gz").write_bytes(gzip.compress(lie))
    with pytest.raises(VolumeError, match=r"more than \d+ bytes can hold"):
        open_volume(str(tmp_path / "a.nii.gz"))
    path.write_bytes(lie)
    with pytest.raises(VolumeError, match="is cut off"):
        open_volume(str(path))


def as_mrc(path: Path, voxels: np.ndarray, size: object = (40.0, 40.0, 400.0)) -> Path:
    with mrcfile.new(path, overwrite=True) as file:
        file.set_data(voxels)
        if size is not None:
            file.voxel_size = size
    return path


@pytest.mark.parametrize("suffix", [".mrc", ".map", ".rec"])
@pytest.mark.parametrize("dtype", ["i1", "i2", "u2", "f2", "f4"])
def test_an_mrc_is_what_mrcfile_gives(tmp_path: Path, suffix: str, dtype: str) -> None:
    voxels = (U8 % 100).astype(dtype)
    info = holds(as_mrc(tmp_path / f"a{suffix}", voxels), voxels)
    assert (info.dtype, info.spacing_nm, info.notes) == (np.dtype(dtype), NM, ())


def test_bytes_of_imod_are_unsigned(tmp_path: Path) -> None:
    path = as_mrc(tmp_path / "a.mrc", U8.view(np.int8))
    holds(path, U8.view(np.int8))
    content = bytearray(path.read_bytes())
    content[152:160] = struct.pack("<2i", 1146047817, 0)
    path.write_bytes(content)
    holds(path, U8)
    content[156] = 1
    path.write_bytes(content)
    holds(path, U8.view(np.int8))


@pytest.mark.parametrize(("size", "says"), [(None, ""), (1.0, "voxels of 1 angstrom, as programs do by default")])
def test_an_mrc_that_nobody_calibrated_has_no_voxel_size(tmp_path: Path, size: object, says: str) -> None:
    info = holds(as_mrc(tmp_path / "a.mrc", U8.astype(np.int16), size), U8.astype(np.int16))
    assert info.spacing_nm is None
    assert says in " ".join(info.notes)


def test_the_axes_that_an_mrc_states_are_believed(tmp_path: Path) -> None:
    path = as_mrc(tmp_path / "a.mrc", U8.astype(np.int16).transpose(2, 1, 0))
    content = bytearray(path.read_bytes())
    content[64:76] = struct.pack("<3i", 3, 2, 1)
    path.write_bytes(content)
    holds(path, U8.astype(np.int16))


def test_an_mrc_that_is_cut_off_is_told(tmp_path: Path) -> None:
    path = as_mrc(tmp_path / "a.mrc", U8.astype(np.int16))
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(VolumeError, match="is cut off: its voxels reach to byte 1444, it has 1443"):
        open_volume(str(path))


@pytest.mark.parametrize("name", ["a.npy", "a.nii", "a.mrc", "a.png"])
def test_a_file_of_one_volume_has_no_datasets(tmp_path: Path, name: str) -> None:
    (tmp_path / name).touch()
    refused(f"{tmp_path / name}:/main", "no dataset")


@pytest.mark.parametrize(("name", "library"), [("a.nii", "nibabel"), ("a.mrc", "mrcfile")])
def test_a_library_that_is_not_installed_is_named(
    tmp_path: Path, name: str, library: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / name).touch()
    monkeypatch.setitem(__import__("sys").modules, library, None)
    refused(tmp_path / name, f"needs {library}; pip install {library}")
