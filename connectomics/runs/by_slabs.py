"""Objects, tables and scores of a volume whose labels do not fit into the memory."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from math import prod
from typing import Any, final

import numpy as np
import numpy.typing as npt

from connectomics.decoding.size import CONNECTIVITY
from connectomics.errors import UserError, VolumeError
from connectomics.geometry import Box
from connectomics.inference import Sections
from connectomics.metrics import with_counts
from connectomics.metrics.slabs.joined import JoinedComponents
from connectomics.metrics.slabs.slab_scores import BY_SLABS, Distances, measure_slabs, score_slabs
from connectomics.metrics.slabs.survey import SlabVolume, Survey, survey
from connectomics.planning.machine import host_memory_gib
from connectomics.reports.object_table import (
    ANNOTATED_COLUMNS,
    CLEFT_COLUMNS,
    Grid,
    annotated_rows,
    cleft_rows,
    write_rows,
)
from connectomics.runs.earlier import MADE_FROM
from connectomics.runs.job import Job, Saving
from connectomics.runs.prediction import origin_of, read_sections
from connectomics.runs.score import score_or_say
from connectomics.screen.console import say
from connectomics.volumes.chunks import CHUNK
from connectomics.volumes.labelled import LabelledSource
from connectomics.volumes.labels import LabelIds, label_ids, mark_counting
from connectomics.volumes.read import open_volume
from connectomics.volumes.write import VolumeWriter

BYTES_A_VOXEL = 10
"""What the labels of a whole volume, their objects and the scores take."""

SHARE = 0.5
"""Share of the memory that they may take before a volume goes by slabs."""

DEPTH = CHUNK[0]
"""Sections of a slab: the chunks of the saved files."""


def goes_by_slabs(job: Job, volume: LabelledSource) -> bool:
    """Return whether objects and scores of a volume are found slab by slab."""
    if not job.keeps_labels or not _can_go(job):
        return False
    too_large = _gib(volume) > SHARE * host_memory_gib()
    return too_large if job.outputs.by_slabs is None else job.outputs.by_slabs


def require_memory(job: Job) -> None:
    """Refuse, before anything is predicted, what the memory cannot hold; say what is left out for a large volume.

    Raises:
        UserError: With what is needed, what there is, and what to set.
    """
    if job.outputs.by_slabs and job.keeps_labels and not _can_go(job):
        raise UserError(
            f"evaluation.by_slabs goes with decoding.name=threshold, with inference.save_results and with the metrics "
            f"{', '.join(BY_SLABS)}; set it to false, or to null"
        )
    for volume in job.volumes if job.keeps_labels else ():
        if not goes_by_slabs(job, volume) and _gib(volume) > host_memory_gib():
            raise UserError(
                f"{volume.name}: its labels, objects and scores need about {_gib(volume):.0f} GiB, this machine has "
                f"{host_memory_gib():.0f}; set evaluation.enabled, .synapses, .instances and .report to false"
            )
    large = [volume.name for volume in job.volumes if goes_by_slabs(job, volume)]
    if large and job.outputs.report:
        say(f"no report.html: objects of {', '.join(large)} are found slab by slab, and never in memory at once")


def decode_large(job: Job, volume: LabelledSource, saving: Saving) -> Iterator[Sections]:
    """Yield the mask of a saved prediction, (1, n, Y, X), without components below the minimum size."""
    decoding, joined = job.decoding_of(volume), JoinedComponents(CONNECTIVITY)
    sizes = [np.zeros(1, np.int64)]
    for slab, sections in enumerate(read_sections(job, volume.name, saving)):
        numbers = joined.add(job.decoder.foreground(sections.voxels) >= np.float32(decoding.threshold))
        own = joined.numbers_of(slab)
        sizes.append(np.bincount(numbers[numbers > 0] - own.start, minlength=own.stop - own.start))
    ids = joined.ids()
    voxels = np.bincount(ids, weights=np.concatenate(sizes))
    large = (voxels >= decoding.min_size) & (np.arange(len(voxels)) > 0)
    for slab, sections in enumerate(read_sections(job, volume.name, saving)):
        mask = job.decoder.foreground(sections.voxels) >= np.float32(decoding.threshold)
        kept = large[ids[joined.again(slab, mask)]]
        yield Sections(sections.z, kept[np.newaxis].astype(job.decoder.dtype))


def test_slabs(job: Job, volume: LabelledSource, saving: Saving, made_from: str) -> tuple[dict[str, Any], str]:
    """Write the ids and the tables of the objects of a volume from its saved mask and prediction, and score it.

    Args:
        job: What is written and scored.
        volume: Image and label.
        saving: How mask and prediction were written.
        made_from: What the ids depend on, for their file.

    Returns:
        The scores, and why there are none; "" if there are.
    """
    found, failure = _survey(job, volume, saving)
    distances = measure_slabs(found) if found.volume.truth is not None else None
    if job.outputs.instances:
        _write_ids(job, volume, found, saving, made_from)
    if job.outputs.synapses:
        _write_tables(job, volume, found, distances)
    if not job.scores:
        return {}, ""
    if distances is None:
        return score_or_say(job, None, failure), failure
    return score_slabs(found, distances, with_counts(job.metrics), job.rule), ""


def _survey(job: Job, volume: LabelledSource, saving: Saving) -> tuple[Survey, str]:
    """Return the objects of a volume, and why its label cannot be used."""
    try:
        return survey(_SlabReader(job, volume, saving).volume(), job.rule), ""
    except VolumeError as error:
        if volume.label is None or not job.scores:
            raise
        alone = replace(volume, label=None)
        return survey(_SlabReader(job, alone, saving).volume(), job.rule), str(error)


@final
class _SlabReader:
    """Reads the sections of a mask, its prediction and its label."""

    def __init__(self, job: Job, volume: LabelledSource, saving: Saving) -> None:
        self._volume, self._saving = volume, saving
        self._mask = open_volume(str(job.run.mask(volume.name, saving.suffix)))
        self._prediction = open_volume(str(job.run.prediction(volume.name, saving.suffix)))
        self._foreground, self._is_scored = job.decoder.foreground, job.scores and volume.label is not None

    def volume(self) -> SlabVolume:
        """Return all of it for a survey."""
        spacing, label = self._volume.image.info.spacing_nm, self._volume.label
        assert spacing is not None
        some_excluded = self._is_scored and (
            self._volume.mask is not None or (label is not None and label.info.layout == "cremi")
        )
        return SlabVolume(
            self._mask.shape, spacing, DEPTH, self._predicted,
            truth=self._truth if self._is_scored else None,
            annotated=self._any_counts if some_excluded else None,
            probability=self._probability,
        )  # fmt: skip

    def _box(self, start: int, stop: int) -> Box:
        return Box.sections(start, stop, self._mask.shape)

    def _predicted(self, start: int, stop: int) -> npt.NDArray[np.bool_]:
        mask = self._mask.read(self._box(start, stop))[0] != 0
        annotated = self._label(start, stop).annotated if self._is_scored else None
        return mask if annotated is None else mask & annotated

    def _truth(self, start: int, stop: int) -> npt.NDArray[np.bool_]:
        label = self._label(start, stop)
        return (label.ids != 0) if label.annotated is None else (label.ids != 0) & label.annotated

    def _any_counts(self, start: int, stop: int) -> bool:
        annotated = self._label(start, stop).annotated
        return annotated is None or bool(annotated.any())

    def _label(self, start: int, stop: int) -> LabelIds:
        label, box = self._volume.label, self._box(start, stop)
        assert label is not None
        part = label_ids(label.read(box)[0], label.info.layout)
        if self._volume.mask is None:
            return part
        return LabelIds(part.ids, mark_counting(part.annotated, self._volume.mask.read(box)[0]))

    def _probability(self, start: int, stop: int) -> npt.NDArray[np.float32]:
        return self._foreground(self._saving.type.restore(self._prediction.read(self._box(start, stop))))


def _write_ids(job: Job, volume: LabelledSource, found: Survey, saving: Saving, made_from: str) -> None:
    dtype = np.promote_types(np.uint32, np.min_scalar_type(len(found.judged.both.predicted)))
    stated = origin_of(volume) | {"content": f"ids of {job.decoder.noun}", MADE_FROM: made_from}
    path = job.run.instances(volume.name, saving.suffix)
    with VolumeWriter(path, 1, volume.image.shape, dtype, stated) as writer:
        for slab, (start, stop) in enumerate(found.volume.slabs):
            numbers = found.joined.again(slab, found.volume.predicted(start, stop))
            writer.write(start, found.ids[numbers].astype(dtype)[np.newaxis])


def _write_tables(job: Job, volume: LabelledSource, found: Survey, distances: Distances | None) -> None:
    info = volume.image.info
    grid = Grid(info.shape, found.volume.spacing_nm, info.offset_nm)
    nearest = None if distances is None else distances.nearest_nm
    rows, path = cleft_rows(found.judged, found.predicted, nearest, grid), job.run.synapses(volume.name)
    write_rows(path, CLEFT_COLUMNS, rows, job.outputs.parquet)
    if found.judged.outcomes is not None:
        annotated = annotated_rows(found.judged, found.truth, grid)
        write_rows(job.run.annotated(volume.name), ANNOTATED_COLUMNS, annotated, job.outputs.parquet)
    say(f"{volume.name}: {len(rows)} {job.decoder.noun} are listed in {path}")


def _can_go(job: Job) -> bool:
    return job.decoder.by_threshold and job.saving is not None and set(job.metrics) <= set(BY_SLABS)


def _gib(volume: LabelledSource) -> float:
    return prod(volume.image.shape) * BYTES_A_VOXEL / 2**30
