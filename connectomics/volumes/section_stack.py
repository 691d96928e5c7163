"""A volume whose sections are files: a folder, or a pattern of names such as `sections/*.png`, or a single picture."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import final

import numpy as np
import numpy.typing as npt

from connectomics.errors import VolumeError
from connectomics.geometry import Box
from connectomics.volumes.axes import usual_axes
from connectomics.volumes.dataset import describe
from connectomics.volumes.look import Look
from connectomics.volumes.raster import RASTERS, look_at_raster, read_raster
from connectomics.volumes.section_files import find_sections, is_pattern, tell_gaps
from connectomics.volumes.source import Role, VolumeSource
from connectomics.volumes.stated import Stated
from connectomics.volumes.tiff_section import look_at_tiff, read_tiff

SECTIONS: Mapping[str, tuple[Callable[[Path, Role], Look], Callable[[Path, Role], npt.NDArray]]] = {
    ".tif": (look_at_tiff, read_tiff),
    ".tiff": (look_at_tiff, read_tiff),
    **dict.fromkeys(RASTERS, (look_at_raster, read_raster)),
}
"""Suffix of a file that holds one section, to what looks at its header, and what reads its pixels (Y, X)."""


@final
class SectionStack(VolumeSource):
    """Sections in files of their own, all of one size, read one by one."""

    def __init__(self, path: Path, dataset: str | None, role: Role) -> None:
        if dataset is not None:
            raise VolumeError(f"{path} is a stack of sections; it has no dataset {dataset!r}")
        self._files = find_sections(path, tuple(SECTIONS))
        self._role = role
        look_at, self._read_section = SECTIONS[self._files[0].suffix.lower()]
        first = self._look = look_at(self._files[0], role)
        for file in self._files[1:]:
            other = look_at(file, role)
            if (other.shape, other.dtype) != (first.shape, first.dtype):
                raise VolumeError(
                    f"{file} has {_form(other)}, {self._files[0].name} has {_form(first)}; the sections of a volume "
                    "are all alike"
                )
        self._section(0)  # what is in colour, or cannot be decompressed, is told at once
        notes = [*tell_gaps(self._files), *([first.remark] if first.remark else [])]
        axes = usual_axes((len(self._files), *first.shape), str(path))
        listed = self._files if is_pattern(path) else ()
        self.info = describe(str(path), axes, first.dtype, Stated(), {}, notes=notes, files=listed)

    def _read(self, box: Box) -> npt.NDArray:
        part = box.slices[1:]
        voxels = np.empty(box.shape, self.info.dtype)
        for i, z in enumerate(range(box.start[0], box.stop[0])):
            voxels[i] = self._section(z)[part]
        return voxels

    def _section(self, z: int) -> npt.NDArray:
        """Return a section; its file may have changed since it was looked at."""
        section = self._read_section(self._files[z], self._role)
        if section.shape != self._look.shape or section.dtype != self._look.dtype:
            raise VolumeError(
                f"{self._files[z]} has {section.shape} pixels of {section.dtype}, not {_form(self._look)}"
            )
        return section


def _form(look: Look) -> str:
    return f"{look.shape[0]} x {look.shape[1]} pixels of {look.dtype}"
