"""Volumes as TIFF: one file of many pages, or a folder of single sections in the order of their names."""

from __future__ import annotations

import re
from pathlib import Path
from typing import final

import numpy as np
import numpy.typing as npt
import tifffile

from connectomics.errors import VolumeError
from connectomics.geometry import Box
from connectomics.volumes.dataset import describe
from connectomics.volumes.source import Role, VolumeSource


@final
class TIFFSource(VolumeSource):
    """Sections as TIFF pages, read one by one; TIFF states no voxel size in z, so the settings must."""

    def __init__(self, path: Path, dataset: str | None, role: Role) -> None:
        if dataset is not None:
            raise VolumeError(f"{path} is a TIFF; it has no dataset {dataset!r}")
        self._files = _sections(path)
        try:
            with tifffile.TiffFile(self._files[0]) as first:
                pages, page_shape, dtype = len(first.pages), first.pages[0].shape, first.pages[0].dtype
        except (OSError, tifffile.TiffFileError, IndexError) as error:
            raise VolumeError(f"{self._files[0]} cannot be opened as TIFF: {error}") from error
        if len(page_shape) != 2 or dtype is None:
            raise VolumeError(f"{self._files[0]}: a page has shape {page_shape}; one channel (y, x) is wanted")
        if len(self._files) > 1 and pages != 1:
            raise VolumeError(f"{path}: {self._files[0].name} has {pages} pages; in a folder each file is one section")
        depth = len(self._files) if len(self._files) > 1 else pages
        self.info = describe(path, "", (depth, *page_shape), np.dtype(dtype), {})

    def _read(self, box: Box) -> npt.NDArray:
        (z0, z1), (y, x) = (box.start[0], box.stop[0]), box.slices[1:]
        if len(self._files) == 1:
            with tifffile.TiffFile(self._files[0]) as file:
                return np.stack([self._page(file.pages[z].asarray(), z)[y, x] for z in range(z0, z1)])
        return np.stack([self._page(tifffile.imread(self._files[z]), z)[y, x] for z in range(z0, z1)])

    def _page(self, section: npt.NDArray, z: int) -> npt.NDArray:
        if section.shape != self.shape[1:] or section.dtype != self.info.dtype:
            raise ValueError(f"section {z} is {section.shape} {section.dtype}, the first {self.shape[1:]}")
        return section


def _sections(path: Path) -> list[Path]:
    """Return the files of a stack, in natural order: s9.tif before s10.tif."""
    if path.is_file():
        return [path]
    files = [file for file in path.iterdir() if file.suffix.lower() in (".tif", ".tiff")]
    if not files:
        raise VolumeError(f"{path} holds no .tif file")
    return sorted(files, key=lambda file: [int(p) if p.isdigit() else p for p in re.split(r"(\d+)", file.name)])
