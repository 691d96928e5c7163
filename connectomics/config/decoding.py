"""`decoding` and `evaluation`: from probabilities to a mask, and to its score."""

from dataclasses import dataclass, field


@dataclass(kw_only=True, slots=True)
class TuningConfig:
    """`decoding.tuning`: what `--mode tune` tries on the validation volumes, and what decides."""

    thresholds: tuple[float, float, float] = (0.01, 0.99, 0.01)
    """The first and the last threshold, and the step between two."""
    min_sizes: list[int] = field(default_factory=lambda: [0, 100, 400])
    """Each is tried as `decoding.min_size` with every threshold, in voxels."""
    metric: str = "cremi_distance"
    """The score, of the mean over the volumes, that decides: a name in `metrics.METRICS`."""


@dataclass(kw_only=True, slots=True)
class DecodingConfig:
    """`decoding`: from probabilities to the mask that is saved and scored."""

    name: str = "threshold"
    """A name in `decoding.DECODERS`."""
    threshold: float = 0.5
    """A voxel whose probability is at least this belongs to a cleft, in (0, 1)."""
    min_size: int = 0
    """Voxels that an object has at least; 0 keeps all, and finds clefts in volumes that are larger than the memory."""
    dilation: tuple[int, int, int] = (1, 5, 5)
    """Extent along (z, y, x), in voxels, odd, of the box by which a synapse with two sides grows before its parts are
    joined: [1, 5, 5] bridges gaps of 4 pixels in the section plane. The sides themselves stay as they are."""
    tuning: TuningConfig = field(default_factory=TuningConfig)


@dataclass(kw_only=True, slots=True)
class EvaluationConfig:
    """`evaluation`: which numbers test mode computes."""

    enabled: bool = True
    """False for volumes without labels."""
    metrics: list[str] = field(default_factory=lambda: ["cremi_distance", "jaccard"])
    """Names in `metrics.METRICS`."""
    report: bool = True
    """Write `report.html`, a page with the scores, the sections and the mistakes; needs `inference.save_results`."""
    synapses: bool = True
    """Write `test_<image>_synapses.csv`, one row an object, also of volumes without labels; needs
    `inference.save_results`, and the labels of a volume in memory, some ten bytes a voxel."""
    min_iou: float = 0.5
    """A predicted and an annotated synapse are the same one if their intersection over union is at least this."""
    max_distance_nm: float | None = None
    """Two synapses are also the same one if their centres lie no farther apart than this, in nm; null goes by overlap
    alone."""
    connectivity: int = 26
    """Voxels of one synapse share a face (6), an edge (18) or a corner (26)."""
