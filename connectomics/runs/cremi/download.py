"""`cremi.py download`: fetch files, tell what vouches for each, unpack archives."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

from connectomics.lookup import pick
from connectomics.runs.console import console, say
from connectomics.volumes.challenge.fetch import Fetched, fetch
from connectomics.volumes.challenge.files import FILES, SETS
from connectomics.volumes.challenge.unpack import unpack


def download(what: Sequence[str], folder: Path, url: str | None, trust_first: bool) -> None:
    """Fetch files that are not there yet.

    Args:
        what: Names in `SETS`; none is the padded training and test volumes.
        folder: Where they go; an archive is unpacked into a folder beside it, unless that is there.
        url: A mirror.
        trust_first: Take files that neither a digest nor a certificate vouches for.

    Raises:
        DownloadError: If one cannot be had; those before it are there.
        ConfigError: If a name is unknown.
    """
    wanted = [name for entry in what or ("train", "test") for name in pick(SETS, entry, "what to download")]
    for name in dict.fromkeys(wanted):
        remote = FILES[name]
        with _bar(name) as on_progress:
            fetched = fetch(remote, folder, url, trust_first, on_progress)
        say(_describe(fetched))
        if remote.folder is not None and not (folder / remote.folder).exists():
            say(f"{folder / remote.folder}: {len(unpack(fetched.path, folder / remote.folder))} file(s) unpacked")


def _describe(fetched: Fetched) -> str:
    there = "is there already" if fetched.was_there else "downloaded"
    vouched = (
        f"no digest was known; {fetched.sha256} is recorded in {fetched.path.name}.sha256 and must be found from now on"
        if fetched.recorded
        else f"SHA-256 verified: {fetched.sha256[:16]}..."
    )
    return f"{fetched.path} {there}; {vouched}"


@contextmanager
def _bar(name: str) -> Iterator[Callable[[int, int | None], None]]:
    """Show a moving bar of bytes on a terminal, elsewhere nothing."""
    screen = console()
    columns = (TextColumn(name), BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
    with Progress(*columns, console=screen, transient=True, disable=not screen.is_terminal) as progress:
        task = progress.add_task(name, total=None)
        yield lambda done, total: progress.update(task, completed=done, total=total)
