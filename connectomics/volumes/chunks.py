"""Chunks of a volume as HDF5 stores them, compressed by many threads."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product

import numpy as np
import numpy.typing as npt
from isal import isal_zlib

CHUNK = (9, 250, 250)
"""Extent of a chunk along (z, y, x), in voxels."""

LEVEL = 1
"""Compression level; higher ones are slower and make probabilities no smaller."""


def chunk_shape(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Return the chunks of a dataset (Z, Y, X) or (C, Z, Y, X)."""
    return tuple(min(n, c) for n, c in zip(shape, (1, *CHUNK)[-len(shape) :], strict=True))


def cut_chunks(layer: npt.NDArray, chunk: tuple[int, ...]) -> Iterator[tuple[tuple[int, ...], npt.NDArray]]:
    """Yield the chunks of an array with their position in it; those at the far borders are filled up with 0."""
    for start in product(*(range(0, n, c) for n, c in zip(layer.shape, chunk, strict=True))):
        piece = layer[tuple(slice(a, a + n) for a, n in zip(start, chunk, strict=True))]
        if piece.shape != chunk:
            whole = np.zeros(chunk, layer.dtype)
            whole[tuple(slice(0, n) for n in piece.shape)] = piece
            piece = whole
        yield start, piece


def deflate(chunk: npt.NDArray) -> bytes:
    """Compress a chunk; HDF5's own filters, shuffle and then deflate, undo it."""
    size = chunk.dtype.itemsize
    raw = np.ascontiguousarray(chunk).reshape(-1).view(np.uint8).reshape(-1, size)
    shuffled = np.empty((size, len(raw)), np.uint8)
    for byte in range(size):
        shuffled[byte] = raw[:, byte]
    return isal_zlib.compress(shuffled, LEVEL)
