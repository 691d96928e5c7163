"""`cremi.py download`: fetch files, say what vouches for each, unpack archives."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from connectomics.cremi.fetch import Fetched, fetch
from connectomics.cremi.remote_files import FILES, SETS
from connectomics.cremi.unpack import Unpacked, unpack
from connectomics.lookup import pick
from connectomics.screen.console import say
from connectomics.screen.moving_bar import MovingBar


def download(what: Sequence[str], folder: Path, url: str | None, trust_first: bool) -> None:
    """Fetch files that are not there yet.

    Args:
        what: Names in `SETS`; none is the padded training and test volumes.
        folder: Where the files go; the wanted files of an archive go into a folder inside it, over nothing that is
            there.
        url: A mirror.
        trust_first: Take files that neither a digest nor a certificate vouches for.

    Raises:
        DownloadError: If one cannot be had; those before it are there.
        ConfigError: If a name is unknown.
    """
    wanted = [name for entry in what or ("train", "test") for name in pick(SETS, entry, "what to download")]
    for name in dict.fromkeys(wanted):
        remote = FILES[name]
        with MovingBar(name, prints_lines=False) as bar:
            fetched = fetch(remote, folder, url, trust_first, partial(_tell_bytes, bar))
        say(_describe(fetched))
        if remote.folder is not None:
            into = folder / remote.folder
            say(f"{into}: {_describe_unpacked(unpack(fetched.path, into, remote.wanted))}")


def _describe(fetched: Fetched) -> str:
    there = "is there already" if fetched.was_there else "downloaded"
    vouched = (
        f"no digest was known; {fetched.sha256} is recorded in {fetched.path.name}.sha256 and must be found from now on"
        if fetched.recorded
        else f"SHA-256 verified: {fetched.sha256[:16]}..."
    )
    return f"{fetched.path} {there}; {vouched}"


def _describe_unpacked(unpacked: Unpacked) -> str:
    told = [f"{len(unpacked.written)} file(s) unpacked"]
    if unpacked.same:
        told.append(f"{unpacked.same} were there already")
    if unpacked.others:
        told.append(f"{unpacked.others} others of the archive were left out")
    if unpacked.kept:
        names = ", ".join(path.name for path in unpacked.kept)
        told.append(
            f"{names} kept, which the archive does not hold like this: nothing was put beside them, since image, label "
            "and mask must be of one alignment; move them away to have those of the archive"
        )
    return "; ".join(told)


def _tell_bytes(bar: MovingBar, done: int, total: int | None) -> None:
    """Show how much of a file has come."""
    of = "" if total is None else f"/{total / 1e6:.0f}"
    bar.update(done, total, (f"{done / 1e6:.0f}{of} MB", f"{bar.rate(done) / 1e6:.1f} MB/s"))
