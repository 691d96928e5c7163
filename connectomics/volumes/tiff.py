"""Volumes as TIFF: one file of many pages, or a folder of single sections in the order of their names."""

from __future__ import annotations

import logging
import os
import re
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from enum import IntEnum
from itertools import pairwise
from pathlib import Path
from typing import Any, final

import numpy as np
import numpy.typing as npt
import tifffile

from connectomics.errors import VolumeError
from connectomics.geometry import Box
from connectomics.volumes.axes import Axes, letters_of, stated_axes, usual_axes
from connectomics.volumes.damage import require_regular, told_as_damage
from connectomics.volumes.dataset import describe
from connectomics.volumes.source import Role, VolumeSource
from connectomics.volumes.tiff_pages import find_end, stated_pages
from connectomics.volumes.tiff_words import read_words

UNNAMED = "iqr"
"""Letters of tifffile for axes that a file does not name, such as pages in a sequence."""

COLOURS = {
    "PALETTE": "its pages have a palette; the numbers of its colours are taken as grey values",
    "MINISWHITE": "0 is white in it; its numbers are taken as they are, so that it looks inverted",
}
"""How an image whose numbers are not brightness is described."""


@final
class TIFFSource(VolumeSource):
    """Sections as TIFF pages, read one by one."""

    def __init__(self, path: Path, dataset: str | None, role: Role) -> None:
        if dataset is not None:
            raise VolumeError(f"{path} is a TIFF; it has no dataset {dataset!r}")
        self._files = _sections(path)
        self._opened: tuple[int, tifffile.TiffFile] | None = None
        first = self._files[0]
        with _open(first) as file, told_as_damage(f"{first} is damaged"):
            series = _only_series(file, first)
            letters = letters_of(series.axes)
            words = read_words(file)
            colours = COLOURS.get(_name(series.keyframe.photometric), "")
            dtype = np.dtype(series.dtype).newbyteorder("=")
            self._offset = series.dataoffset if len(self._files) == 1 and series.keyframe.is_memmappable else None
            self._stored = np.dtype(file.byteorder + series.dtype.char)
            _try_pixel(series, first)
        if len(self._files) > 1:
            if series.size != int(np.prod(series.keyframe.shape)) or len(series.keyframe.shape) != 2:
                raise VolumeError(f"{path}: {first.name} has {len(series)} pages or more than one channel, shape "
                                  f"{series.shape}; in a folder each file is one section")  # fmt: skip
            self._axes = usual_axes((len(self._files), *series.keyframe.shape), str(path))
        else:
            self._axes = _axes_of(letters, series.shape, str(path))
        notes = [*_gaps(self._files), *([colours] if colours and role == "image" else [])]
        self.info = describe(str(path), self._axes, dtype, words, {}, notes=notes)

    def _read(self, box: Box) -> npt.NDArray:
        if len(self._files) > 1:
            part = box.slices[1:]
            return np.stack([self._section(z)[part] for z in range(box.start[0], box.stop[0])])
        if self._offset is not None:
            whole = np.memmap(self._files[0], self._stored, "r", self._offset, self._axes.stored)
            return self._axes.arrange(np.array(whole[self._axes.index(box)], self.info.dtype))
        return self._axes.arrange(self._pages(box))

    def _pages(self, box: Box) -> npt.NDArray:
        """Read the pages that a box needs, in the order in which they are stored."""
        index = self._axes.index(box)
        series = self._file().series[0]
        outer = self._axes.stored[: len(self._axes.stored) - len(series.keyframe.shape)]
        chosen = np.arange(int(np.prod(outer, dtype=np.int64))).reshape(outer)[index[: len(outer)]]
        part = index[len(outer) :]
        pages = [self._page(series, int(number))[part] for number in chosen.reshape(-1)]
        return np.stack(pages).reshape(*chosen.shape, *pages[0].shape)

    def _file(self) -> tifffile.TiffFile:
        """Return the file, which every process opens for itself and keeps: its pages are looked up once."""
        if self._opened is None or self._opened[0] != os.getpid():
            require_regular(self._files[0])
            file = tifffile.TiffFile(self._files[0], _multifile=False)
            file.filehandle.set_lock(True)  # threads read one after the other
            weakref.finalize(self, file.close)
            self._opened = (os.getpid(), file)
        return self._opened[1]

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_opened": None}

    def _page(self, series: tifffile.TiffPageSeries, number: int) -> npt.NDArray:
        page = series.pages[number]
        if page is None:
            raise ValueError(f"page {number} is missing")
        voxels = page.asarray()
        if voxels.shape != series.keyframe.shape or voxels.dtype != self.info.dtype:
            raise ValueError(f"page {number} is {voxels.shape} {voxels.dtype}, the first {series.keyframe.shape}")
        return voxels

    def _section(self, z: int) -> npt.NDArray:
        require_regular(self._files[z])
        section = tifffile.imread(self._files[z])
        if section.shape != self.shape[1:] or section.dtype != self.info.dtype:
            raise ValueError(f"section {z} is {section.shape} {section.dtype}, the first {self.shape[1:]}")
        return section


@contextmanager
def _open(path: Path) -> Iterator[tifffile.TiffFile]:
    """Open a TIFF; what tifffile complains of by the way is checked here, not printed."""
    require_regular(path)
    logging.getLogger("tifffile").setLevel(logging.CRITICAL)
    with told_as_damage(f"{path} cannot be opened as TIFF"):
        file = tifffile.TiffFile(path, _multifile=False)
    with file:
        yield file


def _only_series(file: tifffile.TiffFile, path: Path) -> tifffile.TiffPageSeries:
    """Return the one image of a file, all of whose pages are there.

    Raises:
        VolumeError: If there are several images, or pages are missing.
    """
    end = find_end(path)
    if end.broken:
        raise VolumeError(
            f"{path} is damaged: {end.pages} pages are there, and {_how_many(stated_pages(file), end.pages)} missing: "
            f"{end.broken}"
        )
    if len(file.series) != 1:
        shapes = ", ".join(f"{one.axes} {one.shape}" for one in file.series[:4])
        raise VolumeError(f"{path} holds {len(file.series)} images ({shapes}); save the one that is meant by itself")
    series = file.series[0]
    if file.is_ome and series.kind != "ome":
        raise VolumeError(f"{path}: its OME metadata do not fit its {end.pages} pages, or spread the volume over many "
                          "files; join them in one file")  # fmt: skip
    if file.is_shaped and series.kind == "generic":
        raise VolumeError(f"{path} states {file.shaped_metadata}, and has {end.pages} pages of {series.keyframe.shape}")
    wanted = stated_pages(file)
    pages = end.pages if series.dataoffset is None else max(end.pages, series.size // series.keyframe.size)
    if wanted is not None and pages < wanted:
        raise VolumeError(f"{path} states {wanted} pages and has {pages}; {wanted - pages} are missing")
    missing = sum(page is None for page in series.pages)
    if missing:
        raise VolumeError(f"{path}: {missing} pages of it are missing, or lie in other files; join them in one file")
    return series


def _how_many(wanted: int | None, there: int) -> str:
    return "at least 1 is" if wanted is None or wanted <= there else f"{wanted - there} are"


def _try_pixel(series: tifffile.TiffPageSeries, path: Path) -> None:
    """Make sure, before a voxel is asked for, that the file is as long as its pages say and can be decompressed."""
    size = path.stat().st_size
    if series.dataoffset is not None and series.dataoffset + series.nbytes > size:
        raise VolumeError(
            f"{path} is cut off: its voxels need {series.dataoffset + series.nbytes} bytes, it has {size}"
        )
    beyond = 0
    pages = () if series.dataoffset is not None else (page for page in series.pages if page is not None)
    for page in pages:
        last = max((a + n for a, n in zip(page.dataoffsets, page.databytecounts, strict=True)), default=0)
        beyond += last > size or not page.dataoffsets
    if beyond:
        raise VolumeError(f"{path} is cut off: the voxels of {beyond} of its {len(series.pages)} pages are missing")
    keyframe = series.keyframe
    if series.dataoffset is None and keyframe.compression != tifffile.COMPRESSION.NONE:
        with told_as_damage(f"{path} is compressed ({_name(keyframe.compression)}) and cannot be read"):
            next(iter(keyframe.segments()))


def _name(code: int) -> str:
    """Return the name of a code in a TIFF; the number of one that TIFF does not know."""
    return code.name if isinstance(code, IntEnum) else str(code)


def _axes_of(letters: str, shape: tuple[int, ...], location: str) -> Axes:
    """Return the axes that a TIFF names; pages in a sequence are sections."""
    unnamed = [i for i, letter in enumerate(letters) if letter in UNNAMED and shape[i] != 1]
    if not unnamed:
        return stated_axes(letters, shape, location)
    if len(unnamed) == 1 and "z" not in letters:
        return stated_axes(letters[: unnamed[0]] + "z" + letters[unnamed[0] + 1 :], shape, location)
    if len(unnamed) == len(letters) - 2 and letters.endswith("yx"):
        return usual_axes(shape, location)
    return stated_axes(letters, shape, location)


def _sections(path: Path) -> list[Path]:
    """Return the files of a stack, in natural order: s9.tif before s10.tif."""
    if path.is_file():
        return [path]
    files = [file for file in path.iterdir() if file.suffix.lower() in (".tif", ".tiff") and file.name[0] != "."]
    if not files:
        raise VolumeError(f"{path} holds no .tif file")
    for file in files:
        require_regular(file)
    return sorted(files, key=lambda file: [int(p) if p.isdigit() else p for p in re.split(r"(\d+)", file.name)])


def _gaps(files: list[Path]) -> list[str]:
    """Return a remark where the names of sections count up with a gap."""
    numbers = [[int(part) for part in re.findall(r"\d+", file.stem)][-1:] for file in files]
    if len(files) < 2 or not all(numbers):
        return []
    counted = [one[0] for one in numbers]
    steps = [b - a for a, b in pairwise(counted)]
    usual = min(steps)
    after = [files[i].name for i, step in enumerate(steps) if step != usual]
    if usual < 1 or not after:
        return []
    return [f"by their names, sections are missing after {', '.join(after[:3])}{', ...' if len(after) > 3 else ''}"]
