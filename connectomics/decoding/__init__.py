"""Floor 3: from probabilities to masks and ids."""

from connectomics.decoding.decoders import DECODERS, Decoder, Labels, decode, in_voxels, pick_decoder
from connectomics.decoding.size import remove_small

__all__ = ["DECODERS", "Decoder", "Labels", "decode", "in_voxels", "pick_decoder", "remove_small"]
