"""From probabilities to the labels that are saved and scored."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from math import ceil, prod
from typing import Any

import numpy as np
import numpy.typing as npt

from connectomics.config.decoding import DecodingConfig
from connectomics.decoding.polarity2instance import decode_classes, decode_sides, number_annotated
from connectomics.decoding.size import remove_small
from connectomics.geometry import Spacing
from connectomics.lookup import pick

Probability = npt.NDArray[np.float32]
"""Probabilities, (C, Z, Y, X)."""

Labels = npt.NDArray[np.unsignedinteger]
"""What was found, (Z, Y, X): 0 for the background, otherwise 1 or an id."""


@dataclass(frozen=True, slots=True)
class Decoder:
    """All in which one task differs from another once there are probabilities."""

    decode: Callable[[Probability, DecodingConfig], Labels]
    """Returns labels (Z, Y, X) of type `dtype` for probabilities (C, Z, Y, X)."""
    channels: tuple[str, ...]
    """Names of the channels that the decoder reads, in order."""
    dtype: type[np.unsignedinteger]
    """Type of the labels."""
    content: str
    """What a label means; the attribute `content` of the saved labels."""
    noun: str
    """What is found, in the plural: "clefts"."""
    foreground: Callable[[Probability], npt.NDArray[np.float32]]
    """Returns for (C, Z, Y, X) the probability that a voxel belongs to any object, (Z, Y, X)."""
    by_section: Callable[[DecodingConfig], bool] = lambda config: False
    """Whether each section can be decoded on its own; otherwise the decoder is given the whole volume."""
    by_threshold: bool = False
    """Whether the labels are 1 where `foreground` reaches the threshold, in components of at least the minimum size;
    then all thresholds can be scored at once."""
    table: str = "clefts"
    """Name in `reports.object_table.TABLES` of the table that lists the objects, one per row."""
    classes: tuple[str, ...] = ()
    """Names of the parts of an object; with n parts, object k has the ids n (k - 1) + 1 to n k."""
    annotated: Callable[[Labels, DecodingConfig], Labels] = lambda ids, config: ids
    """Returns the ids of an annotation (Z, Y, X) as this decoder would number them."""


def threshold_clefts(probability: Probability, config: DecodingConfig) -> npt.NDArray[np.uint8]:
    """Return 1 where the first channel of (C, Z, Y, X) is at least the threshold, as float32, else 0: (Z, Y, X).

    Components, of voxels that share a corner, that are smaller than `min_size` are left out.
    """
    return remove_small(probability[0] >= np.float32(config.threshold), config.min_size).view(np.uint8)


_SIDED: Mapping[str, Any] = {
    "dtype": np.uint64,
    "content": "2k - 1 for the pre-synaptic, 2k for the post-synaptic side of synapse k",
    "noun": "synapses",
    "table": "sides",
    "classes": ("pre", "post"),
    "annotated": lambda ids, config: number_annotated(ids, config.dilation),
}
"""What all decoders for synapses with two sides have in common."""

DECODERS: Mapping[str, Decoder] = {
    "threshold": Decoder(
        decode=threshold_clefts,
        channels=("cleft",),
        dtype=np.uint8,
        content="1 where there is a cleft",
        noun="clefts",
        foreground=lambda probability: probability[0],
        by_section=lambda config: config.min_size <= 1,
        by_threshold=True,
    ),
    "polarity2instance": Decoder(
        decode=lambda probability, config: decode_sides(
            probability, config.threshold, config.min_size, config.dilation
        ),
        channels=("pre", "post", "union"),
        foreground=lambda probability: probability[2],
        **_SIDED,
    ),
    "polarity2instance_exclusive": Decoder(
        decode=lambda probability, config: decode_classes(
            probability, config.threshold, config.min_size, config.dilation
        ),
        channels=("background", "pre", "post"),
        foreground=lambda probability: probability[1] + probability[2],
        **_SIDED,
    ),
}
"""`decoding.name` to the decoder."""


def in_voxels(config: DecodingConfig, spacing_nm: Spacing) -> DecodingConfig:
    """Return the settings with the minimum size in voxels alone: the larger of `min_size` and `min_size_um3`.

    Args:
        config: The settings.
        spacing_nm: Voxel size of the volume along (z, y, x), in nanometres.
    """
    least = ceil(round(config.min_size_um3 * 1e9 / prod(spacing_nm), 6))
    return replace(config, min_size=max(config.min_size, least), min_size_um3=0.0)


def pick_decoder(config: DecodingConfig) -> Decoder:
    """Return the decoder that the settings name.

    Raises:
        ConfigError: If there is none of that name.
    """
    return pick(DECODERS, config.name, "decoding.name")


def decode(probability: Probability, config: DecodingConfig) -> Labels:
    """Turn probabilities (C, Z, Y, X) into labels (Z, Y, X), 0 for the background."""
    return pick_decoder(config).decode(probability, config)
