"""`decoding` and `evaluation`: from probabilities to a mask, and to its score."""

from dataclasses import dataclass, field


@dataclass(kw_only=True, slots=True)
class DecodingConfig:
    """`decoding`: from probabilities to the mask that is saved and scored."""

    name: str = "threshold"
    """A name in `decoding.DECODERS`."""
    threshold: float = 0.5
    """A voxel whose probability is at least this belongs to a cleft, in (0, 1)."""


@dataclass(kw_only=True, slots=True)
class EvaluationConfig:
    """`evaluation`: which numbers test mode computes."""

    enabled: bool = True
    """False for volumes without labels."""
    metrics: list[str] = field(default_factory=lambda: ["cremi_distance", "jaccard"])
    """Names in `metrics.METRICS`."""
    report: bool = True
    """Write `report.html`, a page with the scores, the sections and the mistakes; needs `inference.save_results`."""
