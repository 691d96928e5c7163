"""Fetch a file: a broken transfer is resumed, and a file other than the one that was meant is refused.

What vouches for a file is its SHA-256. The challenge's site has an expired certificate, which for such a file does not
matter. Where no digest is known, a valid certificate vouches for the first download, whose digest is then written
beside it (`<file>.sha256`) and holds for all later ones; where there is none either, only the user can say that the
first download is to be trusted.
"""

from __future__ import annotations

import hashlib
import logging
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pooch

from connectomics.cremi.remote_files import RemoteFile
from connectomics.cremi.transfer import Transfer
from connectomics.errors import DownloadError
from connectomics.files import write_text

TRUST = "--trust-first takes it as it comes and records its digest for all later downloads"


@dataclass(frozen=True, slots=True)
class Fetched:
    """A file that is there."""

    path: Path
    sha256: str
    was_there: bool
    recorded: bool
    """Whether the digest was recorded now, because none was known before."""


def fetch(
    remote: RemoteFile,
    folder: Path,
    base: str | None = None,
    trust_first: bool = False,
    on_progress: Callable[[int, int | None], None] = lambda done, total: None,
    wait_s: float = 2.0,
) -> Fetched:
    """Download a file into a folder, unless it is there already.

    Args:
        remote: The file.
        folder: Where the file goes.
        base: What its name is appended to, where that is not the file's own source: a mirror.
        trust_first: Take a file that neither a digest nor a certificate vouches for, and record its digest.
        on_progress: Called with the bytes that are there, and those there will be (None while that is unknown).
        wait_s: Seconds before the first new attempt after a connection broke; later ones wait longer.

    Raises:
        DownloadError: If it cannot be had, or is not the file that was meant. What was transferred of a file whose
            connection broke is kept as `.<file>.partial`, and the next call goes on from there.
    """
    path, record = folder / remote.name, folder / f"{remote.name}.sha256"
    known = remote.sha256 or _recorded(record)
    if path.exists():
        return _check_present(path, record, known)
    url = (base or remote.base).rstrip("/") + "/" + remote.name
    if known is None and not trust_first and not url.startswith("https:"):
        raise DownloadError(f"{url}: neither a known digest nor a certificate vouches for this file; {TRUST}")
    transfer = Transfer(
        folder / f".{remote.name}.partial", any_certificate=known is not None or trust_first,
        splice=known is not None, on_progress=on_progress, wait_s=wait_s, remedy=TRUST,
    )  # fmt: skip
    _retrieve(url, path, known, transfer)
    digest = known or file_digest(path)
    if known is None:
        _write_record(record, digest, remote.name)
    return Fetched(path, digest, was_there=False, recorded=known is None)


def _retrieve(url: str, path: Path, known: str | None, transfer: Transfer) -> None:
    """Have `pooch` transfer a file to a temporary name, verify it, and rename it."""
    pooch.get_logger().setLevel(logging.ERROR)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        pooch.retrieve(url, known and f"sha256:{known}", fname=path.name, path=path.parent, downloader=transfer)
    except ValueError as error:
        raise DownloadError(f"{url} is not the file that was meant, and was thrown away: {error}") from error
    except OSError as error:
        raise DownloadError(f"{path} cannot be written: {error}") from error


def file_digest(path: Path) -> str:
    """Return the SHA-256 of a file, in hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _check_present(path: Path, record: Path, known: str | None) -> Fetched:
    digest = file_digest(path)
    if known is None:
        _write_record(record, digest, path.name)
    elif digest != known:
        raise DownloadError(f"{path} is there but has the SHA-256 {digest}, not {known}; remove it and try again")
    return Fetched(path, digest, was_there=True, recorded=known is None)


def _recorded(record: Path) -> str | None:
    """Return the digest that an earlier download left, in the form of `sha256sum`."""
    if not record.exists():
        return None
    found = re.match(r"[0-9a-f]{64}\b", record.read_text(encoding="utf-8", errors="replace"))
    if found is None:
        raise DownloadError(f"{record} does not begin with a SHA-256; correct or remove it")
    return found.group()


def _write_record(record: Path, digest: str, name: str) -> None:
    write_text(record, f"{digest}  {name}\n", DownloadError)
