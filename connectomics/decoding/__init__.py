"""Floor 3: from probabilities to masks."""

from connectomics.decoding.decode import DECODERS, decode

__all__ = ["DECODERS", "decode"]
