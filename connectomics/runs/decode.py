"""From the probabilities of one volume to its labels, and to their file."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from connectomics.config import Config
from connectomics.decoding import Decoder, Labels, pick_decoder
from connectomics.inference import Sections
from connectomics.runs.folder import RunFolder
from connectomics.runs.predict import origin_of, read_prediction
from connectomics.volumes.labelled import LabelledSource
from connectomics.volumes.write import WRITERS, VolumeWriter


@dataclass(frozen=True, slots=True, eq=False)
class Decoded:
    """What was found in a volume."""

    labels: Labels
    """(Z, Y, X), 0 for the background; empty when nothing needs them: a volume may be larger than memory."""
    foreground: npt.NDArray[np.int64]
    """Voxels of each section that are not background."""


def keeps_labels(config: Config) -> bool:
    """Return whether the labels of a whole volume are looked at: for scores, or for the table of what was found."""
    return config.evaluation.enabled or lists_synapses(config)


def lists_synapses(config: Config) -> bool:
    """Return whether a table of what was found is written."""
    return config.evaluation.synapses and config.inference.save_results


def decode_volume(volume: LabelledSource, predicted: Iterator[Sections], config: Config, run: RunFolder) -> Decoded:
    """Decode a prediction, and write the labels where the settings save results.

    Args:
        volume: The image.
        predicted: Its sections, float32 (C, n, Y, X), in order, all of which are taken.
        config: The settings.
        run: Where the file goes; the prediction is read from there when the decoder needs all of it at once.
    """
    image, decoder = volume.image, pick_decoder(config.decoding)
    kept = keeps_labels(config)
    labels = np.zeros(image.shape if kept else (0, 0, 0), decoder.dtype)
    foreground = np.zeros(image.shape[0], np.int64)
    with ExitStack() as stack:
        writer = stack.enter_context(_writer(volume, decoder, config, run)) if config.inference.save_results else None
        for part in _decoded_parts(volume, predicted, decoder, config, run):
            foreground[part.box.slices[0]] += np.count_nonzero(part.voxels[0], axis=(1, 2))
            if writer is not None:
                writer.write(part.z, part.voxels, part.corner)
            if kept:
                labels[part.box.slices] = part.voxels[0]
    return Decoded(labels, foreground)


def _decoded_parts(
    volume: LabelledSource, predicted: Iterator[Sections], decoder: Decoder, config: Config, run: RunFolder
) -> Iterator[Sections]:
    """Yield labels (1, n, Y, X): as the sections come, or all of them at the end where the decoder needs the whole."""
    if decoder.by_section(config.decoding):
        for sections in predicted:
            labels = decoder.decode(sections.voxels, config.decoding)
            yield Sections(sections.z, labels[np.newaxis], sections.corner)
        return
    if config.inference.save_results:
        for _ in predicted:  # into the file
            pass
        whole = read_prediction(volume.name, config, run)
    else:
        whole = np.empty((config.model.out_channels, *volume.image.shape), np.float32)
        for sections in predicted:
            whole[(slice(None), *sections.box.slices)] = sections.voxels
    yield Sections(0, decoder.decode(whole, config.decoding)[np.newaxis])


def _writer(volume: LabelledSource, decoder: Decoder, config: Config, run: RunFolder) -> VolumeWriter:
    """Return what writes the labels."""
    stated = origin_of(volume) | {"threshold": config.decoding.threshold, "content": decoder.content}
    stated |= {"classes": ", ".join(decoder.classes)} if decoder.classes else {}
    path = run.mask(volume.name, WRITERS[config.inference.save_backend][0])
    return VolumeWriter(path, 1, volume.image.shape, decoder.dtype, stated)
