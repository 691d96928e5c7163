"""An archive is unpacked into its folder whole, or not at all, and never beyond it."""

import stat
import zipfile
from pathlib import Path

import pytest

from connectomics.cremi.unpack import unpack
from connectomics.errors import DownloadError


def write_zip(path: Path, members: list[tuple[str | zipfile.ZipInfo, bytes]]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members:
            archive.writestr(name, content)
    return path


def link(name: str) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name)
    info.create_system = 3
    info.external_attr = (stat.S_IFLNK | 0o777) << 16
    return info


def raw_name(name: str) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo("harmless")
    info.filename = info.orig_filename = name
    return info


def everything(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


def test_the_files_of_an_archive_are_there_with_their_folders(tmp_path: Path) -> None:
    archive = write_zip(tmp_path / "cremi.zip", [("im_A.h5", b"a"), ("more/im_B.h5", b"b" * 10_000)])
    files = unpack(archive, tmp_path / "cremi", ["more/*", "*"]).written
    assert [str(file.relative_to(tmp_path / "cremi")) for file in files] == ["im_A.h5", "more/im_B.h5"]
    assert files[1].read_bytes() == b"b" * 10_000
    assert everything(tmp_path) == {"cremi.zip", "cremi", "cremi/im_A.h5", "cremi/more", "cremi/more/im_B.h5"}


@pytest.mark.parametrize(
    "hostile",
    ["/etc/evil", "../evil", "a/../../evil", "..", "a\\..\\..\\evil", "C:evil", "C:\\evil", "\\\\host\\evil", "a/.."],
)
def test_a_name_that_leads_out_of_the_folder_refuses_the_whole_archive(tmp_path: Path, hostile: str) -> None:
    inner = tmp_path / "deep" / "deeper"
    inner.mkdir(parents=True)
    archive = write_zip(inner / "a.zip", [("good.h5", b"good"), (raw_name(hostile), b"evil")])
    with pytest.raises(DownloadError, match="leads out of its folder; nothing was unpacked"):
        unpack(archive, inner / "a", ["*"])
    assert everything(tmp_path) == {"deep", "deep/deeper", "deep/deeper/a.zip"}
    assert not Path("/etc/evil").exists()


def test_links_and_doubles_are_refused(tmp_path: Path) -> None:
    archive = write_zip(tmp_path / "a.zip", [(link("out"), b"/etc"), ("out/evil", b"evil")])
    with pytest.raises(DownloadError, match="'out', which is no plain file"):
        unpack(archive, tmp_path / "a", ["*"])
    with pytest.warns(UserWarning, match="Duplicate name"):
        archive = write_zip(tmp_path / "a.zip", [("x", b"1"), ("x", b"2")])
    with pytest.raises(DownloadError, match="'x' twice"):
        unpack(archive, tmp_path / "a", ["*"])
    assert everything(tmp_path) == {"a.zip"}


def test_a_damaged_archive_leaves_nothing(tmp_path: Path) -> None:
    archive = write_zip(tmp_path / "a.zip", [("x", bytes(50_000)), ("y", bytes(range(256)) * 200)])
    whole = archive.read_bytes()
    for damaged in (b"", b"text", whole[:-30], whole[:40] + b"????" + whole[44:]):
        archive.write_bytes(damaged)
        with pytest.raises(DownloadError, match="no zip archive, or a damaged one") as caught:
            unpack(archive, tmp_path / "a", ["*"])
        assert "\n" not in str(caught.value)
        assert everything(tmp_path) == {"a.zip"}


def test_an_archive_that_does_not_fit_the_disk_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archive = write_zip(tmp_path / "a.zip", [("zeros", bytes(10_000_000))])
    monkeypatch.setattr("shutil.disk_usage", lambda folder: type("usage", (), {"free": 1_000_000}))
    with pytest.raises(DownloadError, match=r"unpacks to 0.01 GB, .* has 0.00 GB free"):
        unpack(archive, tmp_path / "a", ["*"])
    assert everything(tmp_path) == {"a.zip"}


FLAT = ("im_*.h5", "syn_*.h5")


@pytest.mark.parametrize("inner", ["", "cremi/", "a/b/c/"])
def test_wanted_files_are_found_wherever_they_lie_and_the_others_are_left_out(tmp_path: Path, inner: str) -> None:
    names = ["im_A.h5", "syn_A.h5", "im_A+.h5"]
    rest = ["readme.txt", "__MACOSX/._im_A.h5", "im_A.txt", "xim_A.h5"]
    archive = write_zip(tmp_path / "a.zip", [(zipfile.ZipInfo("empty/"), b""),
                                             *((inner + name, name.encode()) for name in [*names, *rest])])  # fmt: skip
    done = unpack(archive, tmp_path / "out", FLAT)
    assert {path.name for path in (tmp_path / "out").iterdir()} == set(names)
    assert all(path.read_bytes() == path.name.encode() for path in done.written)
    assert (len(done.written), done.kept, done.same, done.others) == (3, [], 0, 4)
    again = unpack(archive, tmp_path / "out", FLAT)
    assert (again.written, again.kept, again.same) == ([], [], 3)


def test_folders_that_a_pattern_names_stay(tmp_path: Path) -> None:
    wanted = ("vol*/im_*.h5", "vol*/syn_*.h5")
    names = [f"vol{n}/{kind}_Yx2.h5" for n in (3, 4) for kind in ("im", "syn")]
    archive = write_zip(tmp_path / "a.zip", [(f"jwr15/data/{name}", name.encode()) for name in names])
    unpack(archive, tmp_path / "out", wanted)
    assert {str(p.relative_to(tmp_path / "out")) for p in (tmp_path / "out").rglob("*.h5")} == set(names)


@pytest.mark.parametrize("there", ["im_A.h5", "syn_A.h5", "mask_A.h5"])
def test_a_volume_that_is_there_in_part_is_left_alone_and_the_others_come(tmp_path: Path, there: str) -> None:
    names = ["im_A.h5", "syn_A.h5", "im_B.h5", "syn_B.h5"]
    archive = write_zip(tmp_path / "a.zip", [(name, name.encode()) for name in names])
    out = tmp_path / "out"
    out.mkdir()
    (out / there).write_bytes(b"mine")
    done = unpack(archive, out, FLAT)
    assert done.kept == [out / there]
    assert (out / there).read_bytes() == b"mine"
    assert {path.name for path in out.iterdir()} == {there, "im_B.h5", "syn_B.h5"}


def test_what_was_lost_of_a_volume_of_the_archive_is_put_back(tmp_path: Path) -> None:
    archive = write_zip(tmp_path / "a.zip", [(name, name.encode()) for name in ("im_A.h5", "syn_A.h5")])
    unpack(archive, tmp_path / "out", FLAT)
    (tmp_path / "out" / "syn_A.h5").unlink()
    assert unpack(archive, tmp_path / "out", FLAT).written == [tmp_path / "out" / "syn_A.h5"]


def test_an_archive_without_a_wanted_file_or_with_two_of_a_name_is_refused(tmp_path: Path) -> None:
    archive = write_zip(tmp_path / "a.zip", [("readme.txt", b"")])
    with pytest.raises(
        DownloadError, match=r"holds none of im_\*\.h5, syn_\*\.h5, but 'readme\.txt'; nothing was unpacked"
    ):
        unpack(archive, tmp_path / "out", FLAT)
    archive = write_zip(tmp_path / "a.zip", [("one/im_A.h5", b"1"), ("two/im_A.h5", b"2")])
    with pytest.raises(DownloadError, match=r"'one/im_A\.h5' and 'two/im_A\.h5', which would both be im_A\.h5"):
        unpack(archive, tmp_path / "out", FLAT)
    assert everything(tmp_path) == {"a.zip"}


def test_a_damaged_file_leaves_a_folder_as_it_was(tmp_path: Path) -> None:
    archive = write_zip(tmp_path / "a.zip", [("im_A.h5", bytes(range(256)) * 50), ("im_B.h5", b"second" * 999)])
    content = bytearray(archive.read_bytes())
    with zipfile.ZipFile(archive) as opened:
        second = opened.getinfo("im_B.h5").header_offset
    content[second + 45] ^= 0xFF
    archive.write_bytes(content)
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "im_C.h5").write_bytes(b"mine")
    with pytest.raises(DownloadError, match="damaged"):
        unpack(archive, tmp_path / "out", FLAT)
    assert everything(tmp_path) == {"a.zip", "out", "out/im_C.h5"}
