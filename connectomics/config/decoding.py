"""`decoding` and `evaluation`: from probabilities to a mask, and to its score."""

from dataclasses import dataclass, field


@dataclass(kw_only=True, slots=True)
class TuningConfig:
    """`decoding.tuning`: what `--mode tune` tries on the validation volumes, and what decides."""

    thresholds: tuple[float, float, float] = (0.01, 0.99, 0.01)
    """First threshold, last threshold and step."""
    min_sizes: list[int] | None = None
    """Values of `decoding.min_size` that are tried with every threshold, in voxels. null takes 0, and a fortieth and a
    tenth of the median size of the annotated objects."""
    metric: str = "cremi_distance"
    """Name in `metrics.METRICS` of the score that decides, as a mean over the volumes. `docs/results.md` argues for the
    default, and says when `synapse_detection`, by its one-to-one F1, is the better choice."""


@dataclass(kw_only=True, slots=True)
class DecodingConfig:
    """`decoding`: from probabilities to the mask that is saved and scored."""

    name: str = "threshold"
    """A name in `decoding.DECODERS`."""
    threshold: float = 0.5
    """Probability from which on a voxel belongs to a cleft, in (0, 1)."""
    min_size: int = 0
    """Least number of voxels of an object. 0 keeps all objects, and lets volumes larger than memory be decoded."""
    min_size_um3: float = 0.0
    """Least size of an object in cubic micrometres, for volumes of different voxel sizes; the larger of both counts."""
    dilation: tuple[int, int, int] = (1, 5, 5)
    """Extent along (z, y, x), in voxels, odd, of the box by which a synapse with two sides grows before its parts are
    joined: [1, 5, 5] bridges gaps of 4 pixels in the section plane. The sides themselves stay unchanged."""
    tuning: TuningConfig = field(default_factory=TuningConfig)


@dataclass(kw_only=True, slots=True)
class EvaluationConfig:
    """`evaluation`: which numbers test mode computes."""

    enabled: bool = True
    """Whether results are scored; false for volumes without labels."""
    metrics: list[str] = field(default_factory=lambda: ["cremi_distance", "jaccard"])
    """Names in `metrics.METRICS`. `synapse_detection` and `synapse_f1` are counted beside them, whatever they are."""
    report: bool = True
    """Write `report.html`, a page with the scores, the sections and what became of each synapse; without labels, with
    what was found. This needs `inference.save_results`, and memory as `synapses` does."""
    synapses: bool = True
    """Write `test_<image>_synapses.csv`, one row per object, also for volumes without labels. This needs
    `inference.save_results`, and holds the labels of a volume in memory, about ten bytes per voxel."""
    parquet: bool = False
    """Write the tables of objects as Parquet too, with typed columns. This needs `pip install -e ".[parquet]"`."""
    instances: bool = True
    """Write `test_<image>_instances`, the ids of the objects, also for volumes without labels. This needs
    `inference.save_results`, and memory as `synapses` does."""
    by_slabs: bool | None = None
    """Find objects and scores slab by slab, in memory that does not grow with the depth of a volume: for clefts, and
    without `report.html`. null does so where the labels of a volume would take more than half of the memory."""
    min_iou: float = 0.3
    """A synapse that was detected counts as found from this intersection over union on, below it as poorly outlined."""
    strict_iou: float = 0.5
    """Intersection over union from which `synapse_f1` and `polarity_f1` match a predicted and an annotated synapse."""
    max_distance_nm: float | None = None
    """Two synapses also belong together if their centres lie no farther apart than this, in nm; null goes by overlap
    only."""
    connectivity: int = 26
    """Voxels of one synapse share a face (6), an edge (18) or a corner (26)."""
