"""How large a compressed chunk says that it is: a damaged one asks for more memory than any chunk has."""

from __future__ import annotations

from collections.abc import Callable, Mapping

BLOSC_HEADER = 16
"""Bytes of the header of a Blosc chunk; the size when unpacked stands at 4, that of its blocks at 8."""

ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"


def size_in_blosc(content: bytes) -> int:
    """Return the size that a Blosc chunk states, or that of its blocks if that is larger; 0 where it states none."""
    if len(content) < BLOSC_HEADER:
        return 0
    return max(int.from_bytes(content[4:8], "little"), int.from_bytes(content[8:12], "little"))


def size_in_zstd(content: bytes) -> int:
    """Return the size that a Zstandard frame states; 0 where it states none.

    Source:
        RFC 8878, 3.1.1.1.
    """
    if len(content) < 5 or not content.startswith(ZSTD_MAGIC):
        return 0
    described = content[4]
    is_single = described >> 5 & 1
    at = 5 + (1 - is_single) + (0, 1, 2, 4)[described & 3]
    width = (is_single, 2, 4, 8)[described >> 6]
    return int.from_bytes(content[at : at + width], "little") + (256 if width == 2 else 0)


STATED_SIZES: Mapping[str, Callable[[bytes], int]] = {
    "BloscCodec": size_in_blosc, "Blosc": size_in_blosc, "ZstdCodec": size_in_zstd, "Zstd": size_in_zstd,
}  # fmt: skip
"""Class of a codec, in zarr and numcodecs, to what reads the size that its chunks state."""
