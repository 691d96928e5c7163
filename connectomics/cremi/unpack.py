"""Unpack the wanted files of an archive into a folder, and nowhere else."""

from __future__ import annotations

import os
import re
import shutil
import stat
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from connectomics.errors import DownloadError
from connectomics.files import flush, write_whole

KINDS = ("im", "syn", "mask")
"""How the names of the image, label and mask of a volume begin."""

PIECE = 2**20
"""Bytes that are read at a time."""


@dataclass(frozen=True, slots=True)
class Unpacked:
    """What became of the files of an archive."""

    written: list[Path]
    kept: list[Path]
    """Files that were there and differ from those of the archive; the whole volume was left as it is."""
    same: int
    """How many files were there already, byte for byte."""
    others: int
    """How many files of the archive were not wanted."""


def unpack(archive: Path, folder: Path, wanted: Sequence[str]) -> Unpacked:
    """Put the wanted files of a zip archive into a folder, wherever they lie in the archive; all of them or none.

    Every name is looked at before anything is written; one that is absolute, leads out of the folder, or is no plain
    file or folder, refuses the archive. A file that is there is never replaced, and a volume of which one file is
    there that the archive does not hold like this, such as one that `prepare` wrote, gets none from the archive: image,
    label and mask have to be of one alignment.

    Args:
        archive: The file.
        folder: Where the files go; it may exist.
        wanted: Patterns of the last parts of a name. A file keeps as many parts as its pattern has: `im_*.h5` goes into
            the folder itself, `vol*/im_*.h5` into a folder of its own.

    Raises:
        DownloadError: If it is no zip archive, is damaged, names what must not be written, holds no wanted file or two
            of one name, or does not fit the disk.
    """
    try:
        with zipfile.ZipFile(archive) as opened:
            members = [member for member in opened.infolist() if not member.is_dir()]
            _refuse_hostile(archive, opened.infolist())
            places = _places(archive, members, wanted)
            kept = _unlike(folder, places)
            volumes = {_volume(path.relative_to(folder)) for path in kept}
            missing = {
                folder / place: member
                for place, member in places.items()
                if _volume(place) not in volumes and not (folder / place).exists()
            }
            _require_room(archive, list(missing.values()), folder)
            _write(opened, missing)
    except (zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError, EOFError) as error:
        raise DownloadError(f"{archive} is no zip archive, or a damaged one: {error}") from error
    except OSError as error:
        raise DownloadError(f"{archive} cannot be unpacked into {folder}: {error}") from error
    same = sum(_volume(place) not in volumes for place in places) - len(missing)
    return Unpacked(sorted(missing), kept, same, len(members) - len(places))


def _places(archive: Path, members: list[zipfile.ZipInfo], wanted: Sequence[str]) -> dict[Path, zipfile.ZipInfo]:
    """Return where in the folder each wanted file goes."""
    places: dict[Path, zipfile.ZipInfo] = {}
    for member in members:
        name = PurePosixPath(member.filename)
        pattern = next((text for text in wanted if name.match(text)), None)
        if pattern is None:
            continue
        place = Path(*name.parts[-len(PurePosixPath(pattern).parts) :])
        if place in places:
            raise DownloadError(
                f"{archive} holds {places[place].filename!r} and {member.filename!r}, which would both be {place}; "
                "nothing was unpacked"
            )
        places[place] = member
    if not places:
        named = ", ".join(repr(member.filename) for member in members[:5]) or "nothing"
        raise DownloadError(f"{archive} holds none of {', '.join(wanted)}, but {named}; nothing was unpacked")
    return places


def _volume(place: Path) -> Path:
    """Return what image, label and mask of one volume have in common."""
    return place.with_name(re.sub(r"^(im|syn|mask)_", "", place.name))


def _unlike(folder: Path, places: Mapping[Path, zipfile.ZipInfo]) -> list[Path]:
    """Return the files in the folder that belong to a volume of the archive and are not as they are in it."""
    names = {volume.with_name(f"{kind}_{volume.name}") for volume in map(_volume, places) for kind in KINDS}
    there = [place for place in sorted(names) if os.path.lexists(folder / place)]
    return [folder / place for place in there if place not in places or not _equal(folder / place, places[place])]


def _equal(path: Path, member: zipfile.ZipInfo) -> bool:
    """Return whether a file has the length and the checksum of one in an archive."""
    if not path.is_file() or path.stat().st_size != member.file_size:
        return False
    found = 0
    with path.open("rb") as file:
        while piece := file.read(PIECE):
            found = zlib.crc32(piece, found)
    return found == member.CRC


def _write(opened: zipfile.ZipFile, missing: Mapping[Path, zipfile.ZipInfo]) -> None:
    """Write files, which get their names when all of them are there; what fails leaves no new folder behind."""
    new = {above for path in missing for above in path.parents if not above.exists()}
    try:
        with ExitStack() as partials:
            for path, member in missing.items():
                partial = partials.enter_context(write_whole(path, DownloadError))
                with opened.open(member) as source, partial.open("wb") as target:
                    shutil.copyfileobj(source, target, PIECE)
                flush(partial)
    except BaseException:
        for above in sorted(new, reverse=True):
            with suppress(OSError):
                above.rmdir()
        raise


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
    there = next(above for above in (folder, *folder.absolute().parents) if above.is_dir())
    needed, free = sum(member.file_size for member in members), shutil.disk_usage(there).free
    if needed > free:
        raise DownloadError(f"{archive} unpacks to {needed / 1e9:.2f} GB, {folder} has {free / 1e9:.2f} GB free")
