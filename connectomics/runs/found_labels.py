"""From the probabilities of one volume to its labels, and to their file."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from connectomics.decoding import Labels
from connectomics.inference import Sections
from connectomics.runs.by_slabs import decode_large, goes_by_slabs
from connectomics.runs.earlier import MADE_FROM
from connectomics.runs.job import Job, Saving
from connectomics.runs.prediction import origin_of, read_prediction
from connectomics.volumes.labelled import LabelledSource
from connectomics.volumes.write import VolumeWriter


@dataclass(frozen=True, slots=True, eq=False)
class Decoded:
    """What was found in a volume."""

    labels: Labels
    """Labels (Z, Y, X), 0 for the background; empty when nothing needs them, or they go by slabs."""
    foreground: npt.NDArray[np.int64]
    """Number of voxels of each section that are not background."""


def decode_volume(job: Job, volume: LabelledSource, predicted: Iterator[Sections], made_from: str) -> Decoded:
    """Decode a prediction, and write the labels where results are saved.

    Args:
        job: What decodes, and where the file goes; a decoder that needs all of a prediction at once reads it there.
        volume: The image.
        predicted: Its sections, float32 (C, n, Y, X), in order, all of which are taken.
        made_from: What the labels depend on, for their file.
    """
    image, decoder = volume.image, job.decoder
    keeps = job.keeps_labels and not goes_by_slabs(job, volume)
    labels = np.zeros(image.shape if keeps else (0, 0, 0), decoder.dtype)
    foreground = np.zeros(image.shape[0], np.int64)
    with ExitStack() as stack:
        writer = None if job.saving is None else stack.enter_context(_writer(job, volume, job.saving, made_from))
        for part in _decoded_parts(job, volume, predicted):
            foreground[part.box.slices[0]] += np.count_nonzero(part.voxels[0], axis=(1, 2))
            if writer is not None:
                writer.write(part.z, part.voxels, part.corner)
            if keeps:
                labels[part.box.slices] = part.voxels[0]
    return Decoded(labels, foreground)


def _decoded_parts(job: Job, volume: LabelledSource, predicted: Iterator[Sections]) -> Iterator[Sections]:
    """Yield labels (1, n, Y, X): as the sections come, or all of them at the end where the decoder needs the whole."""
    decoding = job.decoding_of(volume)
    if job.decoder.by_section(decoding):
        for sections in predicted:
            labels = job.decoder.decode(sections.voxels, decoding)
            yield Sections(sections.z, labels[np.newaxis], sections.corner)
        return
    if job.saving is not None:
        for _ in predicted:  # into the file
            pass
        if goes_by_slabs(job, volume):
            yield from decode_large(job, volume, job.saving)
            return
        whole = read_prediction(job, volume.name, job.saving)
    else:
        whole = np.empty((job.plan.channels, *volume.image.shape), np.float32)
        for sections in predicted:
            whole[(slice(None), *sections.box.slices)] = sections.voxels
    yield Sections(0, job.decoder.decode(whole, decoding)[np.newaxis])


def _writer(job: Job, volume: LabelledSource, saving: Saving, made_from: str) -> VolumeWriter:
    """Return what writes the labels."""
    decoder = job.decoder
    stated = origin_of(volume) | {"threshold": job.decoding.threshold, "content": decoder.content}
    stated |= {"classes": ", ".join(decoder.classes)} if decoder.classes else {}
    path = job.run.mask(volume.name, saving.suffix)
    return VolumeWriter(path, 1, volume.image.shape, decoder.dtype, stated | {MADE_FROM: made_from})
