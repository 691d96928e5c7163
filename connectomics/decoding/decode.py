"""From probabilities to the mask that is saved and scored."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import numpy.typing as npt

from connectomics.config.decoding import DecodingConfig
from connectomics.lookup import pick

Sections = npt.NDArray[np.float32]

DECODERS: Mapping[str, Callable[[Sections, DecodingConfig], npt.NDArray[np.uint8]]] = {
    "threshold": lambda probability, config: (probability[0] >= np.float32(config.threshold)).astype(np.uint8),
}
"""`decoding.name` to the decoder: probabilities (C, Z, Y, X) to a mask (Z, Y, X), 1 where there is a cleft."""


def decode(probability: Sections, config: DecodingConfig) -> npt.NDArray[np.uint8]:
    """Turn probabilities (C, Z, Y, X) into a mask (Z, Y, X), 0 background and 1 cleft."""
    return pick(DECODERS, config.name, "decoding.name")(probability, config)
