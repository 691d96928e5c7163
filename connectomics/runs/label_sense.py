"""Labels that cannot be meant: nothing or nearly everything is foreground, or training and validation share tissue."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from connectomics.data.targets import BACKGROUND, NOT_ANNOTATED
from connectomics.data.volume import LearningVolume
from connectomics.errors import UserError
from connectomics.planning.oddities import MOST_FOREGROUND
from connectomics.screen.console import say
from connectomics.volumes.labelled import LabelledSource
from connectomics.volumes.read import split_location

SECTIONS_AT_ONCE = 16
"""How many sections of a label are read at a time."""


def tell_foreground(volumes: Sequence[LearningVolume]) -> None:
    """Say which share of each training volume's annotated voxels is foreground, and warn where it is implausible.

    Raises:
        UserError: If no volume has any.
    """
    shares = {volume.name: _foreground_share(volume) for volume in volumes}
    if not any(shares.values()):
        raise UserError(
            f"data.train: no annotated voxel of {', '.join(shares)} is foreground; there is nothing to learn. Look at "
            "the labels: do they belong to these images, and is their background 0?"
        )
    say("foreground among the annotated voxels: " + ", ".join(f"{name} {share:.2%}" for name, share in shares.items()))
    odd = [name for name, share in shares.items() if share > MOST_FOREGROUND]
    if odd:
        say(
            f"warning: synapses fill some 1 % of neuropil; the label of {', '.join(odd)} may be an image, a "
            "segmentation of cells, or inverted"
        )


def tell_shared_tissue(training: Sequence[LabelledSource], validation: Sequence[LabelledSource]) -> None:
    """Warn where the validation looks at voxels that are learnt from."""
    for held_out in validation:
        for learnt in training:
            if _file(held_out) == _file(learnt) and _meet(held_out, learnt):
                say(
                    f"warning: data.val holds voxels of {held_out.image.info.location} that data.train learns from; "
                    "its scores tell nothing of other tissue. Crop one of them"
                )


def _foreground_share(volume: LearningVolume) -> float:
    """Return the share of the annotated voxels that are foreground; 0 where none is annotated."""
    foreground = annotated = 0
    for box in volume.box.slabs(SECTIONS_AT_ONCE):
        codes = volume.codes.read(box)
        excluded = int(np.count_nonzero(codes == NOT_ANNOTATED))
        annotated += codes.size - excluded
        foreground += int(np.count_nonzero(codes != BACKGROUND)) - excluded
    return foreground / annotated if annotated else 0.0


def _file(volume: LabelledSource) -> object:
    path, dataset = split_location(volume.image.info.location)
    return path.resolve(), dataset


def _meet(one: LabelledSource, other: LabelledSource) -> bool:
    """Return whether two parts of one volume have a voxel in common, by where they lie in nanometres."""
    spacing = np.asarray(one.image.info.spacing_nm)
    starts = [np.rint(np.asarray(v.image.info.offset_nm) / spacing) for v in (one, other)]
    stops = [start + v.image.shape for start, v in zip(starts, (one, other), strict=True)]
    return bool((np.maximum(*starts) < np.minimum(*stops)).all())
