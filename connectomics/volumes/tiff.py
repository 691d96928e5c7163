"""Volumes as TIFF: one file of many pages."""

from __future__ import annotations

import os
import weakref
from dataclasses import replace
from pathlib import Path
from typing import Any, final

import numpy as np
import numpy.typing as npt
import tifffile

from connectomics.errors import VolumeError
from connectomics.geometry import Box
from connectomics.volumes.axes import Axes, letters_of, stated_axes, usual_axes
from connectomics.volumes.colour import as_grey
from connectomics.volumes.damage import require_regular, told_as_damage
from connectomics.volumes.dataset import describe
from connectomics.volumes.source import Role, VolumeSource
from connectomics.volumes.tiff_pages import (
    find_end,
    has_colours,
    name_of_code,
    open_tiff,
    require_held,
    stated_pages,
    tell_numbers,
)
from connectomics.volumes.tiff_words import read_carried, read_words

UNNAMED = "iqr"
"""Letters of tifffile for axes that a file does not name, such as pages in a sequence."""


@final
class TIFFSource(VolumeSource):
    """Sections as TIFF pages, read one by one."""

    def __init__(self, path: Path, dataset: str | None, role: Role) -> None:
        if dataset is not None:
            raise VolumeError(f"{path} is a TIFF; it has no dataset {dataset!r}")
        self._path, self._role = path, role
        self._opened: tuple[int, tifffile.TiffFile] | None = None
        with open_tiff(path) as file, told_as_damage(f"{path} is damaged"):
            series = _only_series(file, path)
            letters = letters_of(series.axes)
            words, carried = read_words(file), read_carried(file)
            remark = tell_numbers(series.keyframe) if role == "image" else ""
            dtype = np.dtype(series.dtype).newbyteorder("=")
            self._offset = series.dataoffset if series.keyframe.is_memmappable else None
            self._stored = np.dtype(file.byteorder + series.dtype.char)
            self._has_colours = has_colours(series.keyframe) and letters.count("s") == 1 and "c" not in letters
            _try_pixel(series, path)
        if self._has_colours:
            letters = letters.replace("s", "c")  # whose channels are one in `_read`
        self._axes = _axes_of(letters, series.shape, str(path))
        known = describe(str(path), self._axes, dtype, words, carried, notes=[remark] if remark else [])
        self.info = replace(known, channels=1) if self._has_colours else known
        if self._has_colours:
            self._read(Box.sections(0, 1, self.shape))  # what is in colour is told at once

    def _read(self, box: Box) -> npt.NDArray:
        if self._offset is not None:
            whole = np.memmap(self._path, self._stored, "r", self._offset, self._axes.stored)
            voxels = self._axes.arrange(np.array(whole[self._axes.index(box)], self.info.dtype))
        else:
            voxels = self._axes.arrange(self._pages(box))
        return as_grey(voxels, 0, self.info.location, self._role) if self._has_colours else voxels

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
            require_regular(self._path)
            file = tifffile.TiffFile(self._path, _multifile=False)
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


def _pages_of(series: tifffile.TiffPageSeries) -> list[tifffile.TiffPage | tifffile.TiffFrame]:
    return [page for page in series.pages if page is not None]


def _try_pixel(series: tifffile.TiffPageSeries, path: Path) -> None:
    """Make sure, before a voxel is asked for, that the file is as long as its pages say and can be decompressed."""
    size = path.stat().st_size
    if series.dataoffset is not None and series.dataoffset + series.nbytes > size:
        raise VolumeError(
            f"{path} is cut off: its voxels need {series.dataoffset + series.nbytes} bytes, it has {size}"
        )
    beyond = 0
    for page in () if series.dataoffset is not None else _pages_of(series):
        last = max((a + n for a, n in zip(page.dataoffsets, page.databytecounts, strict=True)), default=0)
        beyond += last > size or not page.dataoffsets
    if beyond:
        raise VolumeError(f"{path} is cut off: the voxels of {beyond} of its {len(series.pages)} pages are missing")
    keyframe = series.keyframe
    packed = max((sum(page.databytecounts) for page in _pages_of(series)), default=0)
    if series.dataoffset is None:
        require_held(keyframe, packed, path)
    if series.dataoffset is None and keyframe.compression != tifffile.COMPRESSION.NONE:
        with told_as_damage(f"{path} is compressed ({name_of_code(keyframe.compression)}) and cannot be read"):
            next(iter(keyframe.segments()))


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
