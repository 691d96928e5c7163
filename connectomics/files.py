"""Files that are whole or not there: written beside their place, flushed to the disk, then renamed."""

from __future__ import annotations

import errno
import os
import re
import shutil
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from connectomics.errors import HeldError, UserError

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

NO_LOCKS = (errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOLCK, errno.ENOSYS, errno.EINVAL)
"""Errors by which a file system without locks answers."""

LOOK_AGAIN_S = 0.2
"""How often a process that waits for another one looks whether it is done."""


def user_path(text: str | Path) -> Path:
    """Return a path that a user wrote; a `~` in front is the home folder."""
    return Path(os.path.expanduser(text))


def is_url(text: str) -> bool:
    """Return whether a location names something on another machine, and not a path."""
    return text.startswith(("s3://", "gs://", "http://", "https://"))


@contextmanager
def write_whole(
    path: Path, failure: type[UserError] = UserError, hint: str = "", tidies: bool = True
) -> Iterator[Path]:
    """Give a temporary name beside `path`; what is written there becomes `path` when the context ends well.

    A file or a folder may be written. It is flushed to the disk before it is renamed, and so is the folder around it
    afterwards: a machine that loses power keeps the former file or has the new one. Leaving by an exception removes
    what was written; what a killed process left is removed by the next one that writes the same file.

    Args:
        path: The final name; folders above it are made.
        failure: The exception that a disk which takes no more, or no permission, becomes.
        hint: What the message says after the reason, such as `; what is finished is kept`.
        tidies: Whether what a killed process left is looked for, which lists the folder: false in one with very many
            files, which goes as a whole.

    Raises:
        UserError: Of the type `failure`, if the file cannot be written.
    """
    partial = path.with_name(f".{path.name}.{_this_process()}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if tidies:
            _remove_leftovers(path)
        yield partial
        _flush_tree(partial)
        _replace(partial, path)
        flush(path.parent)
    except OSError as error:
        raise failure(f"{path} cannot be written: {why_not_written(error)}{hint}") from error
    finally:
        with suppress(OSError):
            remove_path(partial)


def why_not_written(error: Exception) -> str:
    """Return in a few words why something was not written, as the system, NumPy or HDF5 says it."""
    found = re.search(r"errno = (\d+)", str(error))
    number = int(found[1]) if found else error.errno if isinstance(error, OSError) else None
    if number:
        return os.strerror(number)
    return "the disk takes no more" if "requested and" in str(error) else str(error)


def write_text(path: Path, text: str, failure: type[UserError] = UserError) -> None:
    """Write a text file, UTF-8, whole or not at all; errors are those of `write_whole`."""
    with write_whole(path, failure) as partial:
        partial.write_text(text, encoding="utf-8")


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file whole or not at all; errors are those of `write_whole`."""
    with write_whole(path) as partial:
        partial.write_bytes(content)


def remove_path(path: Path) -> None:
    """Remove a file or a folder; it may be missing."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def flush(path: Path) -> None:
    """Make sure that a file's content, or a folder's list of names, is on the disk."""
    if os.name == "nt" and path.is_dir():  # Windows flushes folders by itself, and opens none
        return
    handle = os.open(path, os.O_RDONLY if os.name != "nt" else os.O_RDWR)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _flush_tree(path: Path) -> None:
    if path.is_dir():
        for inner in path.iterdir():
            _flush_tree(inner)
    flush(path)


def _replace(source: Path, target: Path) -> None:
    """Rename, also over a folder, which a file system replaces only when it is empty."""
    if not target.is_dir():
        os.replace(source, target)
        return
    former = target.with_name(f".{target.name}.{_this_process()}.former.partial")
    os.replace(target, former)
    os.replace(source, target)
    remove_path(former)


def _this_process() -> str:
    """Return a name for this process that no other has on a disk which several machines share."""
    return f"{_machine()}-{os.getpid()}"


def _machine() -> str:
    return re.sub(r"[^A-Za-z0-9]", "_", socket.gethostname())[:40]


def _remove_leftovers(path: Path) -> None:
    """Remove what processes of this machine that no longer exist left beside `path`."""
    pattern = re.compile(rf"\.{re.escape(path.name)}\.{_machine()}-(\d+)(\.former)?\.partial")
    for sibling in path.parent.iterdir():
        found = pattern.fullmatch(sibling.name)
        if found is not None and not is_running(int(found.group(1))):
            with suppress(OSError):
                remove_path(sibling)


def is_running(pid: int) -> bool:
    """Return whether a process of this machine is alive."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:  # it belongs to somebody else
        return True
    return True


@contextmanager
def hold(lock: Path, what: str, patience_s: float = 0.0) -> Iterator[None]:
    """Make sure that only one process works on something, by a lock file that exists as long as it does.

    The lock is the operating system's (`flock`), so it ends with its process, however that ends; NFS and the parallel
    file systems of clusters hand it on between machines. Where a file system has none, the file itself is the lock, and
    what a killed process of another machine left must be removed by hand.

    Args:
        lock: The file; folders above it are made.
        what: What is worked on, for the message.
        patience_s: How long to wait for another process that holds it, in seconds.

    Raises:
        HeldError: If another process holds it.
        UserError: If the file cannot be written.
    """
    try:
        lock.parent.mkdir(parents=True, exist_ok=True)
        handle = _take_in_time(lock, what, time.monotonic() + patience_s)
    except OSError as error:
        raise UserError(f"{lock} cannot be written: {why_not_written(error)}") from error
    try:
        yield
    finally:
        with suppress(OSError):
            lock.unlink(missing_ok=True)
        os.close(handle)


def _take_in_time(lock: Path, what: str, until: float) -> int:
    while True:
        try:
            return _take(lock, what)
        except HeldError:
            if time.monotonic() >= until:
                raise
            time.sleep(LOOK_AGAIN_S)


def is_held(lock: Path) -> bool:
    """Return whether another process, or another `hold` of this one, holds a lock file."""
    if not lock.exists():
        return False
    try:
        with hold(lock, str(lock)):
            return False
    except HeldError:
        return True


def _take(lock: Path, what: str) -> int:
    """Return the open lock file, locked, with this process named in it."""
    while True:
        handle = os.open(lock, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            if not _lock(handle) or _is_held_elsewhere(handle):
                raise HeldError(
                    f"{what} is being worked on by {_holder(handle)}; wait for it, or stop it first (lock: {lock})"
                )
            if _is_same(handle, lock):  # else its holder removed it between the two calls
                os.ftruncate(handle, 0)
                os.pwrite(handle, f"{socket.gethostname()} {os.getpid()}\n".encode(), 0)
                return handle
        except BaseException:
            os.close(handle)
            raise
        os.close(handle)


def _lock(handle: int) -> bool:
    """Return whether the lock could be taken; True as well where the file system has no locks."""
    error = _try_lock(handle)
    return error is None or error in NO_LOCKS


def _is_held_elsewhere(handle: int) -> bool:
    """Return whether the file names a process that may be alive, where only the file can tell."""
    words = os.pread(handle, 1000, 0).decode(errors="replace").split()
    if len(words) != 2 or not words[1].isdigit():
        return False
    if words[0] == socket.gethostname():
        return int(words[1]) != os.getpid() and is_running(int(words[1])) and _try_lock(handle) is not None
    return _try_lock(handle) is not None


def _try_lock(handle: int) -> int | None:
    """Take the lock, and return None, or the number of the error that says why not."""
    if fcntl is None:
        return errno.ENOSYS
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        return error.errno or errno.EIO
    return None


def _is_same(handle: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(handle), path.stat())
    except FileNotFoundError:
        return False


def _holder(handle: int) -> str:
    words = os.pread(handle, 1000, 0).decode(errors="replace").split()
    return f"process {words[1]} on {words[0]}" if len(words) == 2 else "another process"
