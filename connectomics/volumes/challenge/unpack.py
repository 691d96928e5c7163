"""Unpack an archive into a folder, and into nothing but that folder."""

from __future__ import annotations

import shutil
import stat
import zipfile
import zlib
from pathlib import Path, PurePosixPath

from connectomics.errors import DownloadError
from connectomics.files import write_whole


def unpack(archive: Path, folder: Path) -> list[Path]:
    """Unpack a zip archive into a new folder, which appears when all of it is there.

    Every name is looked at before anything is written; one that is absolute, leads out of the folder, or is no plain
    file or folder, refuses the archive.

    Returns:
        The files.

    Raises:
        DownloadError: If it is no zip archive, is damaged, names what must not be written, or does not fit the disk.
    """
    try:
        with zipfile.ZipFile(archive) as opened:
            members = opened.infolist()
            _refuse_hostile(archive, members)
            _require_room(archive, members, folder.parent)
            with write_whole(folder, DownloadError) as partial:
                partial.mkdir()  # an archive may be empty
                for member in members:
                    opened.extract(member, partial)
    except (zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError, EOFError) as error:
        raise DownloadError(f"{archive} is no zip archive, or a damaged one: {error}") from error
    except OSError as error:
        raise DownloadError(f"{archive} cannot be unpacked into {folder}: {error}") from error
    return sorted(path for path in folder.rglob("*") if path.is_file())


def _refuse_hostile(archive: Path, members: list[zipfile.ZipInfo]) -> None:
    seen = set()
    for member in members:
        name = member.orig_filename
        path = PurePosixPath(name)
        kind = stat.S_IFMT(member.external_attr >> 16)
        if path.is_absolute() or ".." in path.parts or not path.parts or any(c in name for c in "\\:\0"):
            raise DownloadError(f"{archive} names {name!r}, which leads out of its folder; nothing was unpacked")
        if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
            raise DownloadError(f"{archive} holds {name!r}, which is no plain file; nothing was unpacked")
        if path in seen:
            raise DownloadError(f"{archive} holds {name!r} twice; nothing was unpacked")
        seen.add(path)


def _require_room(archive: Path, members: list[zipfile.ZipInfo], folder: Path) -> None:
    needed, free = sum(member.file_size for member in members), shutil.disk_usage(folder).free
    if needed > free:
        raise DownloadError(f"{archive} unpacks to {needed / 1e9:.2f} GB, {folder} has {free / 1e9:.2f} GB free")
