"""The pages of a TIFF: how many it has and should have, and what their numbers mean."""

from __future__ import annotations

import logging
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import BinaryIO

import tifffile

from connectomics.errors import VolumeError
from connectomics.volumes.damage import require_regular, told_as_damage

NO_BRIGHTNESS = {
    "PALETTE": "its pages have a palette; the numbers of its colours are taken as grey values",
    "MINISWHITE": "0 is white in it; its numbers are taken as they are, so that it looks inverted",
}
"""How an image whose numbers are not brightness is described."""

MOST_SHRUNK = 40_000
"""How many bytes of pixels a byte of a compressed page holds at most; Zstandard writes 128 KiB of one value in four."""

BITS_OF_A_BYTE = 8
"""The same of a page that is not compressed: pixels of one bit become bytes."""


@dataclass(frozen=True, slots=True)
class End:
    """Where the chain of pages ends."""

    pages: int
    """Number of pages before the end of the file."""
    broken: str
    """Why the file ends too early; empty if it does not."""


def find_end(path: Path) -> End:
    """Follow the chain of pages from one to the next.

    tifffile takes a chain that leads out of the file, or back into itself, for one that ends there.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        order = "<" if file.read(2) == b"II" else ">"
        is_big = _number(file, f"{order}H") == 43
        at = _at(file, 8 if is_big else 4, f"{order}{'Q' if is_big else 'I'}")
        count, width, link = (f"{order}Q", 20, f"{order}Q") if is_big else (f"{order}H", 12, f"{order}I")
        seen: set[int] = set()
        while at:
            if at in seen:
                return End(len(seen), "the chain of its pages leads back into itself")
            entries = _at(file, at, count)
            after = None if entries is None else _at(file, at + struct.calcsize(count) + entries * width, link)
            if after is None:
                return End(len(seen), f"the next one should begin at byte {at} of a file of {size}")
            seen.add(at)
            at = after
    return End(len(seen), "" if at == 0 else "the file is cut off in its header")


def _at(file: BinaryIO, position: int, form: str) -> int | None:
    if position >= 2**63:
        return None
    file.seek(position)
    return _number(file, form)


def _number(file: BinaryIO, form: str) -> int | None:
    """Return the number that comes next; None at the end of the file."""
    content = file.read(struct.calcsize(form))
    return struct.unpack(form, content)[0] if len(content) == struct.calcsize(form) else None


def stated_pages(file: tifffile.TiffFile) -> int | None:
    """Return how many pages ImageJ's metadata count; None where a file does not say."""
    words = file.imagej_metadata
    if not words:
        return None
    counts = [words.get(key, 1) for key in ("channels", "slices", "frames")]
    if not all(isinstance(count, int) and 0 < count < 2**31 for count in counts):
        return None
    is_colour = file.pages.first.samplesperpixel > 1  # whose channels lie in one page
    return (1 if is_colour else counts[0]) * counts[1] * counts[2]


@contextmanager
def open_tiff(path: Path) -> Iterator[tifffile.TiffFile]:
    """Open a TIFF; what tifffile complains of by the way is checked by those who read it, not printed.

    Raises:
        VolumeError: If it is none.
    """
    require_regular(path)
    logging.getLogger("tifffile").setLevel(logging.CRITICAL)
    with told_as_damage(f"{path} cannot be opened as TIFF"):
        file = tifffile.TiffFile(path, _multifile=False)
    with file:
        yield file


def require_held(page: tifffile.TiffPage, packed: int, path: Path) -> None:
    """Refuse a page whose header states more pixels than its bytes can hold, before memory is taken for them.

    Args:
        page: The page.
        packed: How many bytes of the file its pixels take.
        path: The file, for the message.

    Raises:
        VolumeError: If it does.
    """
    most = BITS_OF_A_BYTE if page.compression == tifffile.COMPRESSION.NONE else MOST_SHRUNK
    if page.nbytes > most * packed:
        raise VolumeError(f"{path} is damaged: it states {page.shape} pixels, more than {packed} bytes can hold")


def tell_numbers(page: tifffile.TiffPage) -> str:
    """Return a remark about a page whose numbers are not brightness; nothing about any other."""
    return NO_BRIGHTNESS.get(name_of_code(page.photometric), "")


def has_colours(page: tifffile.TiffPage) -> bool:
    """Return whether a page holds red, green and blue."""
    return name_of_code(page.photometric) in ("RGB", "YCBCR")


def name_of_code(code: int) -> str:
    """Return the name of a code in a TIFF; the number of one that TIFF does not know."""
    return code.name if isinstance(code, IntEnum) else str(code)
