"""Floor 3: the networks; images in, logits out."""

from connectomics.models.build import MODELS, Architecture, build_model, pick_architecture, shaping_settings

__all__ = ["MODELS", "Architecture", "build_model", "pick_architecture", "shaping_settings"]
