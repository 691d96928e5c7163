"""Which minimum sizes tuning tries: what the annotation's own sizes suggest, unless the settings name them."""

from __future__ import annotations

from dataclasses import replace
from math import prod

import numpy as np
from numpy.typing import NDArray

from connectomics.metrics.components import label_mask, speck_size
from connectomics.runs.job import Job
from connectomics.runs.score import read_truth
from connectomics.screen.console import say
from connectomics.volumes.labelled import LabelledSource

SHARES = (0.25, 1.0)
"""Shares of the size of a speck that are tried beside 0."""


def with_sizes(job: Job) -> Job:
    """Return a job that knows which minimum sizes it tries, and say where they come from if that is the annotation.

    Raises:
        VolumeError: If a label cannot be read.
    """
    if job.tuning.min_sizes is not None:
        return job
    sizes = np.concatenate([_annotated_sizes(job, volume) for volume in job.volumes])
    if not len(sizes):
        return replace(job, tuning=replace(job.tuning, min_sizes=(0,)))
    median, spacing = float(np.median(sizes)), job.volumes[0].image.info.spacing_nm
    assert spacing is not None
    tried = sorted({0, *(int(float(f"{share * speck_size(sizes):.2g}")) for share in SHARES)})
    say(
        f"minimum sizes that are tried: {', '.join(map(str, tried))} voxels, up to a tenth of the median size of the "
        f"{len(sizes):,} annotated objects, {median:.0f} voxels or {median * prod(spacing) / 1e9:.2g} µm³"
    )
    return replace(job, tuning=replace(job.tuning, min_sizes=tuple(tried)))


def _annotated_sizes(job: Job, volume: LabelledSource) -> NDArray[np.int64]:
    """Return the sizes of the annotated objects of a volume, in voxels; of sides, those of each side's own objects."""
    ids, parts = read_truth(job, volume).ids, len(job.decoder.classes)
    masks = [(ids > 0) & (ids % 2 == side) for side in (1, 0)] if parts else [ids > 0]
    sizes = []
    for mask in masks:
        labelled, number = label_mask(mask, 6 if parts else 26)  # as decoding removes small ones
        counted = np.zeros(number + 1, np.int64)
        for section in labelled:
            counted += np.bincount(section.reshape(-1), minlength=number + 1)
        sizes.append(counted[1:])
    return np.concatenate(sizes)
