"""`decoding` and `evaluation`: from probabilities to a mask, and to its score."""

from dataclasses import dataclass, field


@dataclass(kw_only=True, slots=True)
class DecodingConfig:
    """`decoding`: from probabilities to the mask that is saved and scored."""

    name: str = "threshold"
    """A name in `decoding.DECODERS`."""
    threshold: float = 0.5
    """A voxel whose probability is at least this belongs to a cleft, in (0, 1)."""
    min_size: int = 0
    """An object of fewer voxels is removed; 0 keeps all."""
    dilation: tuple[int, int, int] = (1, 5, 5)
    """Extent along (z, y, x), in voxels, odd, of the box by which a synapse with two sides grows before its parts are
    joined: [1, 5, 5] bridges gaps of 4 pixels in the section plane. The sides themselves stay as they are."""


@dataclass(kw_only=True, slots=True)
class EvaluationConfig:
    """`evaluation`: which numbers test mode computes."""

    enabled: bool = True
    """False for volumes without labels."""
    metrics: list[str] = field(default_factory=lambda: ["cremi_distance", "jaccard"])
    """Names in `metrics.METRICS`."""
    report: bool = True
    """Write `report.html`, a page with the scores, the sections and the mistakes; needs `inference.save_results`."""
