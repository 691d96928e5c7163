"""`data`: which volumes, how they are cut, scaled and augmented."""

from dataclasses import dataclass, field
from typing import Any, Literal

from connectomics.config.augmentation import AugmentationConfig


@dataclass(kw_only=True, slots=True)
class VolumesConfig:
    """`data.train`, `data.val`, `data.test`: lists of files that belong together by their position."""

    image: list[str] = field(default_factory=list)
    """Images: `file.h5`, `file.h5:/dataset`, `.hdf` (CREMI), `.zarr`, `.tif`, or a folder of TIFF sections."""
    label: list[str] = field(default_factory=list)
    """Labels, one per image; may be empty where no metric is asked."""
    mask: list[str] = field(default_factory=list)
    """Optional, one per image: voxels that are annotated are not 0; the others are ignored.

    A mask that is written `optional:mask_A.h5` is used where that file is there. Where it is not, all voxels of the
    image count, and what nobody annotated counts as background. Without `optional:` a missing file is an error.
    """
    resolution: tuple[float, float, float] | None = None
    """Voxel size along (z, y, x), in nm; null takes what the files say. A file that says otherwise is refused."""
    crop: tuple[str, str, str] | None = None
    """The part of each volume that is used, as three slices along (z, y, x): `[":-20", ":", ":"]`; null is all."""
    see_beyond_crop: bool = True
    """Whether the network sees the grey values around the crop, never labels, where a patch or window reaches there,
    and the whole volume is what grey values are measured on; false takes the crop as if nothing lay beyond it."""


@dataclass(kw_only=True, slots=True)
class TrainingVolumesConfig(VolumesConfig):
    """`data.train`: as the others, and how often each volume is drawn."""

    weights: list[float] | None = None
    """How often patches are drawn from each image, relative to the others; 0 is never.

    null draws all positions of all images alike, so that a large image gives more patches than a small one, and one
    with many synapses more than one with few where rejection prefers them. Equal weights draw from each image equally
    often.
    """


@dataclass(kw_only=True, slots=True)
class RejectSamplingConfig:
    """`data.dataloader.reject_sampling`: prefer patches with foreground."""

    size_thres: int = 0
    """A patch that holds fewer foreground voxels than this is rejected with probability `p`; 0 turns rejection off."""
    p: float = 0.0
    """Probability with which such a patch is rejected and another one drawn, of all volumes; 0 turns rejection off.

    With 1, a volume without any patch of `size_thres` is never drawn.
    """


@dataclass(kw_only=True, slots=True)
class DataloaderConfig:
    """`data.dataloader`: how training and validation read patches."""

    patch_size: tuple[int, int, int] = (18, 256, 256)
    """Extent of a training patch along (z, y, x), in voxels."""
    batch_size: int = 4
    """Patches in one batch, on each GPU."""
    max_val_patches: int | None = None
    """Validation patches, spread evenly over the annotated parts of the validation volumes; null covers them once."""
    reject_sampling: RejectSamplingConfig = field(default_factory=RejectSamplingConfig)
    use_preloaded_cache_train: bool = True
    """Hold the training volumes in memory (once, whatever the number of workers); false reads patches from disk."""
    use_preloaded_cache_val: bool = True
    """Hold the validation volumes in memory; false reads patches from disk."""


@dataclass(kw_only=True, slots=True)
class ImageTransformConfig:
    """`data.image_transform`: one pair of numbers per volume scales it, in every mode."""

    normalize: Literal["0-1", "none"] = "0-1"
    """"0-1" maps [low, high] to [0, 1] and clips; "none" takes the values as they are."""
    clip_percentile_low: float = 0.0
    """Share of the volume's voxels that are darker than `low`, in [0, 1]."""
    clip_percentile_high: float = 1.0
    """Share of the volume's voxels that are not brighter than `high`, in [0, 1]."""


@dataclass(kw_only=True, slots=True)
class DataTransformConfig:
    """`data.data_transform`: what lies beyond a volume's border."""

    pad_size: tuple[int, int, int] = (0, 0, 0)
    """Voxels added on either side along (z, y, x); a prediction has the shape of its volume all the same."""
    pad_mode: Literal["reflect", "replicate", "constant"] = "reflect"
    """How they are filled; "constant" is black."""


@dataclass(kw_only=True, slots=True)
class TargetConfig:
    """`data.target`: what the network learns from a label."""

    type: str = "cleft"
    """A name in `data.targets.TARGETS`."""
    kwargs: dict[str, Any] = field(default_factory=dict)
    """Arguments of the target, by name: `exclusive` of "polarity"."""


@dataclass(kw_only=True, slots=True)
class DataConfig:
    """`data`: which volumes, how they are cut, scaled and augmented."""

    train: TrainingVolumesConfig = field(default_factory=TrainingVolumesConfig)
    val: VolumesConfig = field(default_factory=VolumesConfig)
    test: VolumesConfig = field(default_factory=VolumesConfig)
    allow_other_resolution: bool = False
    """Whether volumes may differ in voxel size, from each other or from those that the checkpoint learnt at, by more
    than 15 % along an axis. Such volumes are refused otherwise: clefts have another size there."""
    target: TargetConfig = field(default_factory=TargetConfig)
    dataloader: DataloaderConfig = field(default_factory=DataloaderConfig)
    image_transform: ImageTransformConfig = field(default_factory=ImageTransformConfig)
    data_transform: DataTransformConfig = field(default_factory=DataTransformConfig)
    augmentation: AugmentationConfig = field(default_factory=AugmentationConfig)
