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
    """Masks, one per image, in which annotated voxels are not 0; all other voxels are ignored. [] if all are annotated.
    A mask written as `optional:mask_A.h5` is used if that file exists. If it does not, all voxels of the image count,
    and what nobody annotated counts as background. Without `optional:` a missing file is an error."""
    resolution: tuple[float, float, float] | None = None
    """Voxel size along (z, y, x), in nm; null takes what the files say. A file that disagrees is refused."""
    crop: tuple[str, str, str] | None = None
    """The part of each volume that is used, as three slices along (z, y, x): `[":-20", ":", ":"]`; null uses all of
    it."""
    see_beyond_crop: bool = True
    """Whether patches and windows show the grey values around the crop, and grey values are measured on the whole
    volume. Labels outside the crop are never used. False treats the crop as if nothing lay beyond it."""


@dataclass(kw_only=True, slots=True)
class RejectSamplingConfig:
    """`data.dataloader.reject_sampling`: prefer patches with foreground."""

    size_thres: int = 0
    """A patch that holds fewer foreground voxels than this is rejected with probability `p`; 0 turns rejection off."""
    p: float = 0.0
    """Probability of rejecting such a patch and drawing another one from all volumes; 0 turns rejection off. With 1, a
    volume that has no patch with `size_thres` foreground voxels is never drawn."""


@dataclass(kw_only=True, slots=True)
class DataloaderConfig:
    """`data.dataloader`: how training and validation read patches."""

    patch_size: tuple[int, int, int] = (18, 256, 256)
    """Extent of a training patch along (z, y, x), in voxels."""
    batch_size: int = 4
    """Patches in one batch, on each GPU."""
    global_batch: int | None = None
    """Patches in one optimizer step, on all GPUs together, a multiple of those of all batches;
    `optimization.accumulate_grad_batches` then follows from it, whatever the number of GPUs. Null goes by that."""
    max_val_patches: int | None = None
    """Largest number of validation patches, spread evenly over the annotated parts of the validation volumes; null
    covers them once."""
    reject_sampling: RejectSamplingConfig = field(default_factory=RejectSamplingConfig)
    volume_weights: list[float] | None = None
    """How often patches are drawn from each training image, relative to the others; 0 is never. Null draws all
    positions of all images alike: a large image gives more patches than a small one, and, where rejection prefers
    synapses, one with many synapses more than one with few. Equal weights draw from each image equally often."""
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
    """Share of the volume's voxels that are no brighter than `high`, in [0, 1]."""


@dataclass(kw_only=True, slots=True)
class DataTransformConfig:
    """`data.data_transform`: what lies beyond a volume's border."""

    pad_size: tuple[int, int, int] = (0, 0, 0)
    """Voxels added on either side along (z, y, x). A prediction still has the shape of its volume."""
    pad_mode: Literal["reflect", "replicate", "constant"] = "reflect"
    """How the added voxels are filled; "constant" is black."""


@dataclass(kw_only=True, slots=True)
class TargetConfig:
    """`data.target`: what the network learns from a label."""

    type: str = "cleft"
    """A name in `data.targets.TARGETS`."""
    kwargs: dict[str, Any] = field(default_factory=dict)
    """Arguments of the target, by name: `exclusive` of "polarity"; `scale_nm` (50), `in_plane` (false) of "distance",
    which is (1 + tanh(d / scale_nm)) / 2 for the signed distance d to the border of a cleft, in nm."""


@dataclass(kw_only=True, slots=True)
class DataConfig:
    """`data`: which volumes, how they are cut, scaled and augmented."""

    train: VolumesConfig = field(default_factory=VolumesConfig)
    val: VolumesConfig = field(default_factory=VolumesConfig)
    test: VolumesConfig = field(default_factory=VolumesConfig)
    allow_other_resolution: bool = False
    """Whether voxel sizes may differ by more than 15 % along an axis, between volumes or from those that the checkpoint
    was trained on. Otherwise such volumes are refused, because clefts have another size there."""
    target: TargetConfig = field(default_factory=TargetConfig)
    dataloader: DataloaderConfig = field(default_factory=DataloaderConfig)
    image_transform: ImageTransformConfig = field(default_factory=ImageTransformConfig)
    data_transform: DataTransformConfig = field(default_factory=DataTransformConfig)
    augmentation: AugmentationConfig = field(default_factory=AugmentationConfig)
