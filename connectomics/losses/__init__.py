"""Floor 3: the losses; logits, target and annotated voxels in, a scalar out."""

from connectomics.losses.criterion import LOSSES, Criterion

__all__ = ["LOSSES", "Criterion"]
