"""The bytes of a file over HTTP; a broken transfer resumes where it stopped."""

from __future__ import annotations

import shutil
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any, final

import requests
import urllib3

from connectomics.errors import DownloadError

PIECE = 2**18
"""Bytes that are written at a time."""

ATTEMPTS = 5
"""How many attempts in a row may bring nothing new."""

TIMEOUT_S = (10.0, 60.0)
"""Longest wait, in seconds, for a connection and for the next bytes of one."""

AGAIN = "give the same command again to go on from there"


@final
class Transfer:
    """A downloader for `pooch`: fills `partial`, over several connections if need be, and hands it over when whole."""

    def __init__(
        self, partial: Path, *, any_certificate: bool, splice: bool, on_progress: Callable[[int, int | None], None],
        wait_s: float, remedy: str,
    ) -> None:  # fmt: skip
        """Prepare to transfer.

        Args:
            partial: The file that gathers the bytes; the transfer goes on from what is already there.
            any_certificate: Go on without a valid certificate, since something else vouches for the file.
            splice: Go on also where the server does not say whether its file is still the same.
            on_progress: Called with the bytes that are there, and those there will be.
            wait_s: Seconds before the first new attempt.
            remedy: What to do about an invalid certificate.
        """
        self._partial, self._tag = partial, partial.with_name(f"{partial.name}.tag")
        self._any_certificate, self._splice, self._remedy = any_certificate, splice, remedy
        self._on_progress, self._wait_s = on_progress, wait_s
        self._verify = True

    def __call__(self, url: str, output: str | Path | IO[bytes], pooch: Any, check_only: bool = False) -> None:
        """Transfer `url` into the file `output`."""
        vain = 0
        while True:
            before = self._size()
            try:
                self._connect(url)
                break
            except requests.exceptions.SSLError as error:
                self._do_without_certificate(url, error)
            except (requests.exceptions.RequestException, urllib3.exceptions.HTTPError) as error:
                vain = vain + 1 if self._size() == before else 1
                if vain >= ATTEMPTS or _is_final(error):
                    raise DownloadError(self._describe(url, error)) from error
                time.sleep(self._wait_s * vain)
        self._tag.unlink(missing_ok=True)
        self._partial.replace(str(output))

    def _connect(self, url: str) -> None:
        """Receive bytes until the file is whole, or the connection breaks."""
        start = self._size()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", urllib3.exceptions.InsecureRequestWarning)
            answer = requests.get(url, headers=self._wishes(start), stream=True, timeout=TIMEOUT_S, verify=self._verify)
        with answer:
            if answer.status_code == requests.codes.requested_range_not_satisfiable:
                if _total(answer.headers.get("Content-Range")) == start > 0:
                    return  # all of it was there
                self._partial.unlink(missing_ok=True)
                raise requests.exceptions.ConnectionError("what was there is not the beginning of the file")
            answer.raise_for_status()
            goes_on = answer.status_code == requests.codes.partial_content and self._begins_at(answer, start)
            self._receive(answer, start if goes_on else 0)

    def _wishes(self, start: int) -> dict[str, str]:
        """Return the headers that ask for what is missing, of the same file as before."""
        wishes = {"Accept-Encoding": "identity"}
        tag = self._tag.read_text(encoding="utf-8") if self._tag.exists() else ""
        if start and (tag or self._splice):
            wishes["Range"] = f"bytes={start}-"
            if tag:
                wishes["If-Range"] = tag
        return wishes

    def _begins_at(self, answer: requests.Response, start: int) -> bool:
        if answer.headers.get("Content-Range", "").startswith(f"bytes {start}-"):
            return True
        self._partial.unlink(missing_ok=True)
        raise requests.exceptions.ConnectionError("the server sent another part than it was asked for")

    def _receive(self, answer: requests.Response, start: int) -> None:
        length = answer.headers.get("Content-Length", "")
        total = start + int(length) if length.isdigit() else None
        done = start
        free = shutil.disk_usage(self._partial.parent).free
        needed = 0 if total is None else total - start
        if needed > free + self._size() - start:
            raise DownloadError(
                f"{answer.url} needs {needed / 1e9:.2f} GB more, {self._partial.parent} has {free / 1e9:.2f} GB free; "
                "make room, or set --out"
            )
        self._note_tag(answer)
        with self._partial.open("ab" if start else "wb") as file:
            self._on_progress(done, total)
            for piece in answer.iter_content(PIECE):
                file.write(piece)
                done += len(piece)
                self._on_progress(done, total)
        if total is not None and done != total:
            raise requests.exceptions.ConnectionError(f"the connection ended after {done} of {total} bytes")

    def _note_tag(self, answer: requests.Response) -> None:
        """Remember which version of the file this is; a weak tag says nothing about bytes."""
        tag = answer.headers.get("ETag", "")
        tag = "" if tag.startswith("W/") else tag or answer.headers.get("Last-Modified", "")
        if tag:
            self._tag.write_text(tag, encoding="utf-8")
        else:
            self._tag.unlink(missing_ok=True)

    def _do_without_certificate(self, url: str, error: requests.exceptions.SSLError) -> None:
        if not self._any_certificate or not self._verify:
            raise DownloadError(
                f"{url}: the site's certificate is not valid, and no digest of this file is known; {self._remedy}"
            ) from error
        self._verify = False

    def _size(self) -> int:
        return self._partial.stat().st_size if self._partial.exists() else 0

    def _describe(self, url: str, error: Exception) -> str:
        if isinstance(error, requests.exceptions.HTTPError):
            return f"{url}: the server says {str(error).partition(' for url')[0]}"
        there = f"; {self._size()} bytes are there, {AGAIN}" if self._size() else ""
        return f"{url} cannot be fetched: {error}{there}"


def _is_final(error: Exception) -> bool:
    """Return whether another attempt is pointless: the server has no such file, or the address is not valid."""
    if isinstance(error, requests.exceptions.HTTPError) and error.response is not None:
        return error.response.status_code < 500
    return isinstance(error, requests.exceptions.InvalidURL | requests.exceptions.MissingSchema
                      | requests.exceptions.InvalidSchema)  # fmt: skip


def _total(content_range: str | None) -> int | None:
    """Return the size of the file that `Content-Range: bytes */1234` tells."""
    _, _, size = (content_range or "").partition("/")
    return int(size) if size.isdigit() else None
