"""An archive is unpacked into its folder whole, or not at all, and never beyond it."""

import stat
import zipfile
from pathlib import Path

import pytest

from connectomics.errors import DownloadError
from connectomics.volumes.challenge.unpack import unpack


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
    files = unpack(archive, tmp_path / "cremi")
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
        unpack(archive, inner / "a")
    assert everything(tmp_path) == {"deep", "deep/deeper", "deep/deeper/a.zip"}
    assert not Path("/etc/evil").exists()


def test_links_and_doubles_are_refused(tmp_path: Path) -> None:
    archive = write_zip(tmp_path / "a.zip", [(link("out"), b"/etc"), ("out/evil", b"evil")])
    with pytest.raises(DownloadError, match="'out', which is no plain file"):
        unpack(archive, tmp_path / "a")
    with pytest.warns(UserWarning, match="Duplicate name"):
        archive = write_zip(tmp_path / "a.zip", [("x", b"1"), ("x", b"2")])
    with pytest.raises(DownloadError, match="'x' twice"):
        unpack(archive, tmp_path / "a")
    assert everything(tmp_path) == {"a.zip"}


def test_a_damaged_archive_leaves_nothing(tmp_path: Path) -> None:
    archive = write_zip(tmp_path / "a.zip", [("x", bytes(50_000)), ("y", bytes(range(256)) * 200)])
    whole = archive.read_bytes()
    for damaged in (b"", b"text", whole[:-30], whole[:40] + b"????" + whole[44:]):
        archive.write_bytes(damaged)
        with pytest.raises(DownloadError, match="no zip archive, or a damaged one") as caught:
            unpack(archive, tmp_path / "a")
        assert "\n" not in str(caught.value)
        assert everything(tmp_path) == {"a.zip"}


def test_an_archive_that_does_not_fit_the_disk_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archive = write_zip(tmp_path / "a.zip", [("zeros", bytes(10_000_000))])
    monkeypatch.setattr("shutil.disk_usage", lambda folder: type("usage", (), {"free": 1_000_000}))
    with pytest.raises(DownloadError, match=r"unpacks to 0.01 GB, .* has 0.00 GB free"):
        unpack(archive, tmp_path / "a")
    assert everything(tmp_path) == {"a.zip"}
