"""Floor 3: the networks; images in, logits out."""

from connectomics.models.build import MODELS, build_model

__all__ = ["MODELS", "build_model"]
