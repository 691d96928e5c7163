"""Downloads from a server on this machine: whole, broken off, wrong, dead."""

import hashlib
import re
import socket
from pathlib import Path

import numpy as np
import pytest
import requests

from connectomics.cremi.fetch import fetch
from connectomics.cremi.remote_files import RemoteFile
from connectomics.errors import DownloadError
from tests.cremi.server import Behaviour, serve

CONTENT = np.random.default_rng(0).bytes(1_000_000)
DIGEST = hashlib.sha256(CONTENT).hexdigest()
NAME = "sample.hdf"
KNOWN = RemoteFile(NAME, "https://nowhere.invalid/", DIGEST)
UNKNOWN = RemoteFile(NAME, "https://nowhere.invalid/")


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_a_file_is_fetched_verified_and_not_fetched_again(tmp_path: Path) -> None:
    server, told = Behaviour({NAME: CONTENT}), []
    with serve(server) as url:
        first = fetch(KNOWN, tmp_path, url, on_progress=lambda done, total: told.append((done, total)))
        again = fetch(KNOWN, tmp_path, url)
    assert first.path.read_bytes() == CONTENT
    assert (first.was_there, again.was_there) == (False, True)
    assert len(server.asked) == 1
    assert told[-1] == (len(CONTENT), len(CONTENT))
    assert names(tmp_path) == {NAME}


@pytest.mark.parametrize("ranges", [True, False])
@pytest.mark.parametrize("tags", [True, False])
def test_a_broken_transfer_goes_on_and_gives_the_same_file(tmp_path: Path, ranges: bool, tags: bool) -> None:
    server = Behaviour({NAME: CONTENT}, ranges=ranges, tags=tags, break_after=[300_000, 400_000])
    with serve(server) as url:
        assert fetch(KNOWN, tmp_path, url, wait_s=0).path.read_bytes() == CONTENT
    assert len(server.asked) == 3
    begun = [int(re.sub(r"\D", "", asked or "0")) for asked in server.asked]
    assert begun[0] == 0
    assert begun[1] > 200_000  # asked for the rest, whether the server can send it or not
    if ranges:
        assert begun[2] > begun[1]
    assert names(tmp_path) == {NAME}


def test_a_server_that_dies_leaves_what_the_same_command_goes_on_from(tmp_path: Path) -> None:
    server = Behaviour({NAME: CONTENT}, break_after=[600_000] + [0] * 20)
    with serve(server) as url, pytest.raises(DownloadError) as caught:
        fetch(KNOWN, tmp_path, url, wait_s=0)
    assert "give the same command again to go on from there" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert NAME not in names(tmp_path)
    there = (tmp_path / f".{NAME}.partial").stat().st_size
    assert 0 < there <= 600_000
    server = Behaviour({NAME: CONTENT})
    with serve(server) as url:
        assert fetch(KNOWN, tmp_path, url, wait_s=0).path.read_bytes() == CONTENT
    assert server.asked == [f"bytes={there}-"]


def test_what_is_not_the_file_that_was_meant_is_thrown_away(tmp_path: Path) -> None:
    with serve(Behaviour({NAME: CONTENT[:-1] + b"x"})) as url, pytest.raises(DownloadError) as caught:
        fetch(KNOWN, tmp_path, url)
    assert "is not the file that was meant, and was thrown away" in str(caught.value)
    assert DIGEST in str(caught.value)
    assert "\n" not in str(caught.value)
    assert names(tmp_path) == set()


def test_a_transfer_is_not_spliced_from_two_versions_of_a_file(tmp_path: Path) -> None:
    other = bytes(reversed(CONTENT))
    with serve(Behaviour({NAME: other}, break_after=[400_000] + [0] * 20)) as url, pytest.raises(DownloadError):
        fetch(UNKNOWN, tmp_path, url, trust_first=True, wait_s=0)
    with serve(Behaviour({NAME: CONTENT})) as url:
        assert fetch(UNKNOWN, tmp_path, url, trust_first=True).path.read_bytes() == CONTENT


def test_the_digest_of_a_first_download_holds_for_later_ones(tmp_path: Path) -> None:
    server = Behaviour({NAME: CONTENT})
    with serve(server) as url:
        first = fetch(UNKNOWN, tmp_path, url, trust_first=True)
        assert first.recorded
        assert (tmp_path / f"{NAME}.sha256").read_text() == f"{DIGEST}  {NAME}\n"
        first.path.unlink()
        assert not fetch(UNKNOWN, tmp_path, url).recorded  # its digest vouches for it now
        first.path.unlink()
        server.files[NAME] = b"something else"
        with pytest.raises(DownloadError, match="is not the file that was meant"):
            fetch(UNKNOWN, tmp_path, url)
    assert names(tmp_path) == {f"{NAME}.sha256"}


def test_a_file_that_was_changed_on_the_disk_is_told(tmp_path: Path) -> None:
    (tmp_path / NAME).write_bytes(b"damaged")
    with pytest.raises(DownloadError, match=f"not {DIGEST}; remove it and try again"):
        fetch(KNOWN, tmp_path)


def test_nothing_is_trusted_that_nothing_vouches_for(tmp_path: Path) -> None:
    server = Behaviour({NAME: CONTENT})
    with serve(server) as url, pytest.raises(DownloadError, match="neither a known digest nor a certificate"):
        fetch(UNKNOWN, tmp_path, url)
    assert server.asked == []


@pytest.mark.parametrize("trusted", [True, False])
def test_an_expired_certificate_matters_only_where_no_digest_is_known(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, trusted: bool
) -> None:
    get, verified = requests.get, []

    def expired(url: str, *, verify: bool, **rest: object) -> requests.Response:
        verified.append(verify)
        if verify:
            raise requests.exceptions.SSLError("certificate has expired")
        return get(url.replace("https:", "http:"), verify=verify, **rest)

    monkeypatch.setattr(requests, "get", expired)
    with serve(Behaviour({NAME: CONTENT})) as url:
        secure = url.replace("http:", "https:")
        if trusted:
            assert fetch(KNOWN, tmp_path, secure).path.read_bytes() == CONTENT
            assert verified == [True, False]
        else:
            with pytest.raises(DownloadError, match=r"certificate is not valid, and no digest .* --trust-first"):
                fetch(UNKNOWN, tmp_path, secure)
            assert verified == [True]


@pytest.mark.parametrize(
    ("status", "says", "attempts"), [(404, "404", 1), (403, "403", 1), (503, "503", 5)], ids=["no file", "no", "busy"]
)
def test_what_the_server_says_is_told(tmp_path: Path, status: int, says: str, attempts: int) -> None:
    server = Behaviour({NAME: CONTENT}, status=status)
    with serve(server) as url, pytest.raises(DownloadError, match=says) as caught:
        fetch(KNOWN, tmp_path, url, wait_s=0)
    assert "\n" not in str(caught.value)
    assert len(server.asked) == attempts
    assert names(tmp_path) == set()


def test_no_network_is_one_clear_line(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))  # nobody listens there
        with pytest.raises(DownloadError, match="cannot be fetched") as caught:
            fetch(KNOWN, tmp_path, f"http://127.0.0.1:{free.getsockname()[1]}", wait_s=0)
    assert "\n" not in str(caught.value)
    assert names(tmp_path) == set()


def test_a_full_disk_is_told_before_the_transfer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = type("usage", (), {"free": 1000})
    monkeypatch.setattr("shutil.disk_usage", lambda folder: usage)
    with serve(Behaviour({NAME: CONTENT})) as url, pytest.raises(DownloadError, match="make room, or set --out"):
        fetch(KNOWN, tmp_path, url)
    assert names(tmp_path) == set()


def test_a_transfer_that_was_whole_already_is_only_verified(tmp_path: Path) -> None:
    (tmp_path / f".{NAME}.partial").write_bytes(CONTENT)
    server = Behaviour({NAME: CONTENT})
    with serve(server) as url:
        assert fetch(KNOWN, tmp_path, url).path.read_bytes() == CONTENT
    assert server.asked == [f"bytes={len(CONTENT)}-"]


def test_more_than_the_file_is_fetched_anew(tmp_path: Path) -> None:
    (tmp_path / f".{NAME}.partial").write_bytes(CONTENT + b"more")
    with serve(Behaviour({NAME: CONTENT})) as url:
        assert fetch(KNOWN, tmp_path, url, wait_s=0).path.read_bytes() == CONTENT


@pytest.mark.parametrize("there", [bytes(len(CONTENT)), bytes(1000)], ids=["whole", "beginning"])
def test_what_was_not_of_the_file_is_thrown_away_and_then_fetched_anew(tmp_path: Path, there: bytes) -> None:
    (tmp_path / f".{NAME}.partial").write_bytes(there)
    with serve(Behaviour({NAME: CONTENT})) as url:
        with pytest.raises(DownloadError, match="was thrown away"):
            fetch(KNOWN, tmp_path, url)
        assert fetch(KNOWN, tmp_path, url).path.read_bytes() == CONTENT
    assert names(tmp_path) == {NAME}
