"""Memory: what was freed goes back to the system, and where there is too little, one line says what to lower."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

import torch

from connectomics.errors import DeviceError

SAYS_OUT_OF_MEMORY = (
    "out of memory",
    "can't allocate memory",
    "CUDNN_STATUS_ALLOC_FAILED",
    "CUDNN_STATUS_NOT_SUPPORTED",
    "CUBLAS_STATUS_ALLOC_FAILED",
    "unable to find an engine to execute this computation",
)
"""What the libraries below torch say when memory is short, in errors that have no type of their own. cuDNN also says
that something is not supported, or that it has no engine, when there is no room for the workspace that it would need.
"""


def is_out_of_memory(error: RuntimeError) -> bool:
    """Return whether an error says that a device, or the host, has too little memory."""
    return isinstance(error, torch.OutOfMemoryError) or any(text in str(error) for text in SAYS_OUT_OF_MEMORY)


@contextmanager
def shortage_told(advice: str) -> Iterator[None]:
    """Answer a shortage of memory inside with what to do about it.

    Args:
        advice: One line: what does not fit where, and which setting to lower.

    Raises:
        DeviceError: With that line, if the memory is too small.
    """
    try:
        yield
    except RuntimeError as error:
        if not is_out_of_memory(error):
            raise
        raise DeviceError(advice) from error


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
