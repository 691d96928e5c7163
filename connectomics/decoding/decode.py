"""From probabilities to the labels that are saved and scored."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from connectomics.config.decoding import DecodingConfig
from connectomics.lookup import pick

Probability = npt.NDArray[np.float32]
"""Probabilities, (C, Z, Y, X)."""

Labels = npt.NDArray[np.unsignedinteger]
"""What was found, (Z, Y, X): 0 for the background, else 1 or an id."""


@dataclass(frozen=True, slots=True)
class Decoder:
    """All in which one task differs from another once there are probabilities."""

    decode: Callable[[Probability, DecodingConfig], Labels]
    """Returns labels (Z, Y, X) of type `dtype` for probabilities (C, Z, Y, X)."""
    channels: tuple[str, ...]
    """Names of the channels that it reads, in their order."""
    dtype: type[np.unsignedinteger]
    """Type of the labels."""
    content: str
    """What a label means; the attribute `content` of the saved labels."""
    noun: str
    """What is found, in the plural: "clefts"."""
    foreground: Callable[[Probability], npt.NDArray[np.float32]]
    """Returns for (C, Z, Y, X) the probability that a voxel belongs to any object, (Z, Y, X)."""
    by_section: Callable[[DecodingConfig], bool] = lambda config: False
    """Whether each section can be decoded by itself; otherwise the decoder is given the whole volume."""
    classes: tuple[str, ...] = ()
    """Names of the parts of an object: object k has the ids n (k - 1) + 1 to n k, one for each of n parts."""


def threshold_clefts(probability: Probability, config: DecodingConfig) -> npt.NDArray[np.uint8]:
    """Return 1 where the first channel of (C, Z, Y, X) is at least the threshold, as float32, else 0: (Z, Y, X)."""
    return (probability[0] >= np.float32(config.threshold)).view(np.uint8)


DECODERS: Mapping[str, Decoder] = {
    "threshold": Decoder(
        decode=threshold_clefts,
        channels=("cleft",),
        dtype=np.uint8,
        content="1 where there is a cleft",
        noun="clefts",
        foreground=lambda probability: probability[0],
        by_section=lambda config: True,
    ),
}
"""`decoding.name` to the decoder."""


def pick_decoder(config: DecodingConfig) -> Decoder:
    """Return the decoder that the settings name.

    Raises:
        ConfigError: If there is none of that name.
    """
    return pick(DECODERS, config.name, "decoding.name")


def decode(probability: Probability, config: DecodingConfig) -> Labels:
    """Turn probabilities (C, Z, Y, X) into labels (Z, Y, X), 0 for the background."""
    return pick_decoder(config).decode(probability, config)
