"""How far each voxel lies from the border of what is annotated, as a target between 0 and 1."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil
from typing import final

import edt
import numpy as np
from numpy.typing import NDArray

from connectomics.geometry import ZYX, Spacing

REACH = 3.0
"""Distances beyond this many times the scale count as this: tanh(3) is 0.995."""


@final
@dataclass(frozen=True, slots=True)
class BorderDistance:
    """The signed distance d to the border, in nm and positive inside, as (1 + tanh(d / scale_nm)) / 2.

    Inside, d is the distance to the nearest voxel outside, from centre to centre, and the other way round. The target
    is 0.5 at the border, and the sigmoid of 2 d / scale_nm: a network that is trained on it gives the distance as
    logits, and a probability whose threshold of 0.5 is the border.

    Source:
        Heinrich, Funke, Pape, Nunez-Iglesias, Saalfeld 2018, Synaptic cleft segmentation in non-isotropic volume
        electron microscopy of the complete Drosophila brain, MICCAI, section 2.1.
    """

    scale_nm: float
    in_plane: bool
    """Whether the distance is measured within each section, not in 3-D."""

    def margin(self, spacing_nm: Spacing) -> ZYX:
        """Return how far around a patch, in voxels, a border can change the target in it."""
        z, y, x = (ceil(REACH * self.scale_nm / size) for size in spacing_nm)
        return (0 if self.in_plane else z), y, x

    def measure(
        self, inside: NDArray[np.bool_], annotated: NDArray[np.bool_], spacing_nm: Spacing
    ) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """Return the target, and where it is known: where nothing that nobody annotated lies nearer than the border.

        Args:
            inside: Annotated foreground, (Z, Y, X).
            annotated: Voxels that somebody looked at, same shape.
            spacing_nm: Voxel size along (z, y, x), in nanometres.

        Returns:
            The target, float32, and a mask, both (Z, Y, X).
        """
        reach = np.float32(REACH * self.scale_nm)
        outside = annotated & ~inside
        to_outside, to_inside = (self._to(there, reach, spacing_nm) for there in (outside, inside))
        away = np.where(inside, to_outside, to_inside)  # of what is not annotated, no matter
        known = annotated
        if not annotated.all():
            known = annotated & (self._to(~annotated, reach, spacing_nm) >= away)
        signed = np.where(inside, away, -away)
        target: NDArray[np.float32] = np.tanh(signed / np.float32(self.scale_nm)).astype(np.float32)
        return (target + np.float32(1)) / np.float32(2), known

    def _to(self, there: NDArray[np.bool_], reach: np.float32, spacing_nm: Spacing) -> NDArray[np.float32]:
        """Return the distance of each voxel to the nearest of some voxels, at most `reach`, in nm."""
        elsewhere = (~there).view(np.uint8)  # edt copies what is bool
        if not self.in_plane:
            return np.minimum(edt.edt(elsewhere, spacing_nm, black_border=False, parallel=1), reach)
        sections = [edt.edt(section, spacing_nm[1:], black_border=False, parallel=1) for section in elsewhere]
        return np.minimum(np.stack(sections), reach)
