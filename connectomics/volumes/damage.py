"""The exceptions that libraries raise on damaged files, and how they are reported."""

from __future__ import annotations

import lzma
import os
import stat
import struct
import tokenize
import warnings
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from connectomics.errors import VolumeError

DAMAGE = (
    OSError, RuntimeError, ValueError, LookupError, TypeError, AttributeError, ArithmeticError, MemoryError, EOFError,
    ImportError, AssertionError, BufferError, SystemError, SyntaxError, struct.error, zlib.error, lzma.LZMAError,
    zipfile.BadZipFile, zipfile.LargeZipFile, tokenize.TokenError,
)  # fmt: skip
"""Exceptions by which h5py, Zarr, tifffile, Pillow, NumPy and their codecs answered damaged files of all formats."""


@contextmanager
def told_as_damage(what: str) -> Iterator[None]:
    """Turn what a library throws inside the context into a VolumeError that begins with `what`; its advice is dropped.

    Raises:
        VolumeError: With what the library said.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except DAMAGE as error:
        raise VolumeError(f"{what}: {describe_error(error)}") from error


def describe_error(error: BaseException) -> str:
    """Return what an exception says; some say nothing by themselves."""
    if isinstance(error, MemoryError):
        return f"it asks for more memory than there is ({error})" if str(error) else "it asks for too much memory"
    return f"{type(error).__name__} {error}" if isinstance(error, LookupError) or not str(error) else str(error)


def require_regular(path: Path) -> None:
    """Refuse what is neither a file nor a folder: opening a named pipe waits forever.

    Raises:
        VolumeError: With what it is, or what the system says.
    """
    try:
        mode = path.stat().st_mode
    except OSError as error:
        raise VolumeError(f"{path} cannot be read: {error.strerror or error}") from error
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        kinds = {stat.S_IFIFO: "named pipe", stat.S_IFSOCK: "socket", stat.S_IFCHR: "device", stat.S_IFBLK: "device"}
        raise VolumeError(f"{path} is a {kinds.get(stat.S_IFMT(mode), 'special file')}; a volume is a file or a folder")
    if not os.access(path, os.R_OK):
        raise VolumeError(f"{path} cannot be read: you have no permission (its mode is {stat.filemode(mode)})")
