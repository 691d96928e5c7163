"""Give freed memory back to the system, so that a process does not grow as it works."""

from __future__ import annotations

import ctypes
from functools import cache


def give_back_memory() -> None:
    """Return freed memory to the operating system; where the C library cannot do that, nothing happens."""
    trim = _trim()
    if trim is not None:
        trim(0)


@cache
def _trim() -> ctypes._NamedFuncPointer | None:
    """Return `malloc_trim` of the GNU C library, which keeps freed blocks of any size otherwise; None elsewhere."""
    try:
        return ctypes.CDLL(None).malloc_trim
    except (AttributeError, OSError, TypeError):  # another C library; another system
        return None
