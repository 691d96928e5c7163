"""The rules that settings must obey, one line each, in the order of the YAML file."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from math import prod
from operator import attrgetter
from typing import Any

from connectomics.config.schema import Config
from connectomics.config.slices import is_slice


@dataclass(frozen=True, slots=True)
class Rule:
    """What the setting `key` must be, told in words, and how to see it."""

    key: str
    must_be: str
    holds: Callable[[Any, Config], bool]


def _probability(key: str) -> Rule:
    return Rule(key, "a probability, from 0 to 1", lambda v, c: 0 <= v <= 1)


def _at_least(key: str, low: int) -> Rule:
    return Rule(key, f"at least {low}", lambda v, c: v >= low)


def _positive(key: str) -> Rule:
    return Rule(key, "more than 0", lambda v, c: v > 0)


def _share(key: str) -> Rule:
    return Rule(key, "a share from 0 to 1 (not included)", lambda v, c: 0 <= v < 1)


def _odd(key: str) -> Rule:
    return Rule(key, "three odd numbers", lambda v, c: all(n >= 1 and n % 2 == 1 for n in v))


def _lengths(key: str, low: int = 1) -> Rule:
    return Rule(key, f"three whole numbers, each at least {low}", lambda v, c: v is None or all(n >= low for n in v))


def _ordered(key: str, low: float) -> Rule:
    return Rule(key, f"[low, high] with {low:g} <= low <= high", lambda v, c: low <= v[0] <= v[1])


def _needs_unit_range(key: str) -> Rule:
    text = 'false where data.image_transform.normalize is "none": it takes grey values in [0, 1]'
    return Rule(key, text, lambda v, c: not v or c.data.image_transform.normalize == "0-1")


def _crop(stage: str) -> Rule:
    key = f"data.{stage}.crop"
    text = 'null or three slices along (z, y, x), such as [":-20", ":", ":"]'
    return Rule(key, text, lambda v, c: v is None or all(is_slice(part) for part in v))


def _resolution(stage: str) -> Rule:
    return Rule(f"data.{stage}.resolution", "three voxel sizes in nm, each more than 0",
                lambda v, c: v is None or all(n > 0 for n in v))  # fmt: skip


def _as_many(stage: str, what: str) -> Rule:
    return Rule(f"data.{stage}.{what}", f"empty or as long as data.{stage}.image",
                lambda v, c: len(v) in (0, len(attrgetter(f"data.{stage}.image")(c))))  # fmt: skip


def _divisible(key: str) -> Rule:
    text = "divisible by model.rsunet.input_pooling times the product of model.rsunet.down_factors along (z, y, x)"
    return Rule(
        key, text, lambda v, c: v is None or c.model.arch.type != "rsunet"
        or all(n % f == 0 for n, f in zip(v, c.model.total_factor, strict=True))
    )  # fmt: skip


def _optional_slice(v: str | None, c: Config) -> bool:
    return v is None or is_slice(v)


AUG = "data.augmentation"
SLICE = 'null or "start:stop", such as "0:1"'

# fmt: off
RULES: tuple[Rule, ...] = (
    Rule("experiment_name", "a name without / that is not empty", lambda v, c: bool(v) and "/" not in v),
    Rule("system.num_gpus", "-1 (all there are), 0 (the CPU), or how many", lambda v, c: v >= -1),
    _at_least("system.num_processes", 1),
    Rule("system.num_workers", "-1 (one per core), 0, or how many", lambda v, c: v >= -1),
    Rule("system.seed", "from 0 to 4294967295", lambda v, c: 0 <= v < 2**32),
    _at_least("model.in_channels", 1),
    _at_least("model.out_channels", 1),
    _lengths("model.rsunet.input_pooling"),
    Rule("model.rsunet.filters", "one or more widths, each at least 1", lambda v, c: bool(v) and min(v) >= 1),
    Rule("model.rsunet.down_factors", "one triple fewer than model.rsunet.filters has entries",
         lambda v, c: len(v) == len(c.model.rsunet.filters) - 1),
    Rule("model.rsunet.down_factors", "whole numbers of at least 1", lambda v, c: all(min(f) >= 1 for f in v)),
    Rule("model.rsunet.depth_2d", "from 0 to the number of entries of model.rsunet.filters",
         lambda v, c: 0 <= v <= len(c.model.rsunet.filters)),
    _odd("model.rsunet.kernel_2d"),
    Rule("model.rsunet.num_groups", "a divisor of each of model.rsunet.filters when norm is group",
         lambda v, c: v >= 1 and (c.model.rsunet.norm != "group" or all(n % v == 0 for n in c.model.rsunet.filters))),
    Rule("model.rsunet.deep_supervision", "from 0 to the coarser levels of the decoder, two fewer than "
         "model.rsunet.filters",
         lambda v, c: v == 0 or 0 < v <= len(c.model.rsunet.filters) - 2),
    Rule("model.monai_basic_unet3d.features", "six widths, each at least 1", lambda v, c: len(v) == 6 and min(v) >= 1),
    _share("model.monai_basic_unet3d.dropout"),
    Rule("model.monai_unet.channels", "two or more widths, each at least 1", lambda v, c: len(v) > 1 and min(v) >= 1),
    Rule("model.monai_unet.strides", "one triple fewer than model.monai_unet.channels has entries, each at least 1",
         lambda v, c: len(v) == len(c.model.monai_unet.channels) - 1 and all(min(f) >= 1 for f in v)),
    _odd("model.monai_unet.kernel_size"),
    _odd("model.monai_unet.up_kernel_size"),
    _at_least("model.monai_unet.num_res_units", 0),
    _share("model.monai_unet.dropout"),
    Rule("model.monai_dynunet.filters", "three or more widths, each at least 1",
         lambda v, c: len(v) > 2 and min(v) >= 1),
    Rule("model.monai_dynunet.kernel_size", "as many triples of odd numbers as model.monai_dynunet.filters has entries",
         lambda v, c: len(v) == len(c.model.monai_dynunet.filters) and all(n > 0 and n % 2 for k in v for n in k)),
    Rule("model.monai_dynunet.strides", "[1, 1, 1] and a triple for each further entry of model.monai_dynunet.filters",
         lambda v, c: len(v) == len(c.model.monai_dynunet.filters) and v[0] == (1, 1, 1) and min(map(min, v)) > 0),
    _share("model.monai_dynunet.dropout"),
    Rule("model.monai_segresnet.init_filters", "a multiple of 8", lambda v, c: v >= 8 and v % 8 == 0),
    Rule("model.monai_segresnet.blocks_down", "two or more numbers, each at least 1",
         lambda v, c: len(v) > 1 and min(v) >= 1),
    Rule("model.monai_segresnet.blocks_up", "one number fewer than model.monai_segresnet.blocks_down has",
         lambda v, c: len(v) == len(c.model.monai_segresnet.blocks_down) - 1 and min(v) >= 1),
    _share("model.monai_segresnet.dropout_prob"),
    Rule("model.monai_swin_unetr.feature_size", "a multiple of 12", lambda v, c: v >= 12 and v % 12 == 0),
    Rule("model.monai_swin_unetr.depths", "four numbers, each at least 1", lambda v, c: len(v) == 4 and min(v) >= 1),
    Rule("model.monai_swin_unetr.num_heads", "four divisors, of feature_size times 1, 2, 4 and 8", lambda v, c:
         len(v) == 4 and all(n > 0 and c.model.monai_swin_unetr.feature_size * 2**i % n == 0 for i, n in enumerate(v))),
    _lengths("model.monai_swin_unetr.window_size"),
    *(_share(f"model.monai_swin_unetr.{name}") for name in ("drop_rate", "attn_drop_rate", "dropout_path_rate")),
    _at_least("model.monai_mednext.init_filters", 1),
    Rule("model.monai_mednext.kernel_size", "an odd number of at least 3", lambda v, c: v >= 3 and v % 2 == 1),
    *(_at_least(f"model.monai_mednext.{part}_expansion_ratio", 1) for part in ("encoder", "decoder", "bottleneck")),
    Rule("model.monai_mednext.blocks_down", "four numbers, each at least 1", lambda v, c: len(v) == 4 and min(v) >= 1),
    _at_least("model.monai_mednext.blocks_bottleneck", 1),
    Rule("model.monai_mednext.blocks_up", "four numbers, each at least 1", lambda v, c: len(v) == 4 and min(v) >= 1),
    Rule("model.weights.file", "null or a name that is not empty", lambda v, c: v is None or bool(v)),
    Rule("model.weights.freeze", "[] where model.weights.file is null: random weights would stay random",
         lambda v, c: not v or c.model.weights.file is not None),
    Rule("model.loss.losses", "one or more terms", lambda v, c: len(v) > 0),
    Rule("model.loss.losses", "terms whose weight is at least 0", lambda v, c: all(t.weight >= 0 for t in v)),
    Rule("model.loss.losses", f"terms whose pred_slice is {SLICE}",
         lambda v, c: all(_optional_slice(t.pred_slice, c) for t in v)),
    Rule("model.loss.losses", f"terms whose target_slice is {SLICE}",
         lambda v, c: all(_optional_slice(t.target_slice, c) for t in v)),
    *(_as_many(stage, what) for stage in ("train", "val", "test") for what in ("label", "mask")),
    *(_resolution(stage) for stage in ("train", "val", "test")),
    *(_crop(stage) for stage in ("train", "val", "test")),
    Rule("data.dataloader.volume_weights", "null or a weight of at least 0 for each of data.train.image, not all 0",
         lambda v, c: v is None or (len(v) == len(c.data.train.image) and min(v, default=-1) >= 0
                                    and 0 < sum(v) < float("inf"))),
    _lengths("data.dataloader.patch_size"),
    _divisible("data.dataloader.patch_size"),
    _at_least("data.dataloader.batch_size", 1),
    Rule("data.dataloader.global_batch", "null or a multiple of data.dataloader.batch_size",
         lambda v, c: v is None or (v >= 1 and v % c.data.dataloader.batch_size == 0)),
    Rule("data.dataloader.max_val_patches", "null or at least 1", lambda v, c: v is None or v >= 1),
    _probability("data.dataloader.reject_sampling.p"),
    Rule("data.dataloader.reject_sampling.size_thres", "no more than the voxels of data.dataloader.patch_size",
         lambda v, c: v <= prod(c.data.dataloader.patch_size)),
    _probability("data.image_transform.clip_percentile_low"),
    Rule("data.image_transform.clip_percentile_high", "a share from clip_percentile_low (not included) to 1",
         lambda v, c: c.data.image_transform.clip_percentile_low < v <= 1),
    _lengths("data.data_transform.pad_size", low=0),
    _probability(f"{AUG}.flip.prob"),
    Rule(f"{AUG}.flip.spatial_axis", "axes among 0 (z), 1 (y), 2 (x)", lambda v, c: set(v) <= {0, 1, 2}),
    _probability(f"{AUG}.rotate.prob"),
    Rule(f"{AUG}.rotate.max_angle", "from 0 to 180 degrees", lambda v, c: 0 <= v <= 180),
    _probability(f"{AUG}.zoom.prob"),
    Rule(f"{AUG}.zoom.factor_range", "[low, high] with 0.5 <= low <= high <= 2", lambda v, c: 0.5 <= v[0] <= v[1] <= 2),
    _probability(f"{AUG}.elastic.prob"),
    _ordered(f"{AUG}.elastic.sigma_range", low=1),
    _ordered(f"{AUG}.elastic.magnitude_range", low=0),
    Rule(f"{AUG}.elastic.magnitude_range", "at most half of the smallest sigma, or the field could fold the tissue",
         lambda v, c: v[1] <= c.data.augmentation.elastic.sigma_range[0] / 2),
    _probability(f"{AUG}.misalignment.prob"),
    _at_least(f"{AUG}.misalignment.displacement", 0),
    _probability(f"{AUG}.misalignment.rotate_ratio"),
    _probability(f"{AUG}.missing_section.prob"),
    _at_least(f"{AUG}.missing_section.num_sections", 1),
    _probability(f"{AUG}.missing_parts.prob"),
    Rule(f"{AUG}.missing_parts.hole_range", "[low, high] with 0 < low <= high <= 1",
         lambda v, c: 0 < v[0] <= v[1] <= 1),
    _probability(f"{AUG}.motion_blur.prob"),
    _at_least(f"{AUG}.motion_blur.sections", 1),
    Rule(f"{AUG}.motion_blur.kernel_size", "an odd number of at least 3", lambda v, c: v >= 3 and v % 2 == 1),
    _probability(f"{AUG}.defocus.prob"),
    _at_least(f"{AUG}.defocus.sections", 1),
    _ordered(f"{AUG}.defocus.sigma_range", low=0.1),
    _needs_unit_range(f"{AUG}.cut_noise.enabled"),
    _probability(f"{AUG}.cut_noise.prob"),
    Rule(f"{AUG}.cut_noise.length_ratio", "a share, more than 0, at most 1", lambda v, c: 0 < v <= 1),
    _at_least(f"{AUG}.cut_noise.noise_scale", 0),
    _probability(f"{AUG}.cut_blur.prob"),
    Rule(f"{AUG}.cut_blur.length_ratio", "a share, more than 0, at most 1", lambda v, c: 0 < v <= 1),
    _ordered(f"{AUG}.cut_blur.down_ratio_range", low=1),
    _needs_unit_range(f"{AUG}.section_brightness.enabled"),
    _probability(f"{AUG}.section_brightness.prob"),
    _at_least(f"{AUG}.section_brightness.offset", 0),
    _needs_unit_range(f"{AUG}.intensity.enabled"),
    _probability(f"{AUG}.intensity.gaussian_noise_prob"),
    _at_least(f"{AUG}.intensity.gaussian_noise_std", 0),
    _probability(f"{AUG}.intensity.shift_intensity_prob"),
    _at_least(f"{AUG}.intensity.shift_intensity_offset", 0),
    _probability(f"{AUG}.intensity.contrast_prob"),
    Rule(f"{AUG}.intensity.contrast_range", "[low, high] with 0 < low <= high", lambda v, c: 0 < v[0] <= v[1]),
    _at_least("optimization.max_steps", 1),
    _at_least("optimization.n_steps_per_epoch", 1),
    _at_least("optimization.gradient_clip_val", 0),
    _at_least("optimization.accumulate_grad_batches", 1),
    _at_least("optimization.max_skipped_steps", 1),
    Rule("optimization.benchmark", "false when optimization.deterministic is true: the fastest algorithm may vary",
         lambda v, c: not (v and c.optimization.deterministic)),
    _positive("optimization.optimizer.lr"),
    _positive("optimization.optimizer.eps"),
    Rule("optimization.optimizer.betas", "two numbers from 0 to 1 (not included)",
         lambda v, c: all(0 <= b < 1 for b in v)),
    _at_least("optimization.optimizer.weight_decay", 0),
    Rule("optimization.scheduler.min_lr", "from 0 to optimization.optimizer.lr",
         lambda v, c: 0 <= v <= c.optimization.optimizer.lr),
    Rule("optimization.scheduler.params.t_max", "null or at least 1", lambda v, c: v is None or v >= 1),
    _positive("optimization.scheduler.params.power"),
    Rule("optimization.scheduler.warmup_steps", "from 0 to optimization.max_steps (not included)",
         lambda v, c: 0 <= v < c.optimization.max_steps),
    Rule("optimization.scheduler.warmup_steps", "0 where optimization.scheduler.interval is epoch",
         lambda v, c: v == 0 or c.optimization.scheduler.interval == "step"),
    Rule("optimization.ema.decay", "from 0 to 1 (not included)", lambda v, c: 0 <= v < 1),
    _at_least("optimization.ema.warmup_steps", 0),
    _at_least("monitor.checkpoint.save_top_k", -1),
    _at_least("monitor.checkpoint.save_every_n_epochs", 1),
    Rule("monitor.checkpoint.save_every_minutes", "null or more than 0", lambda v, c: v is None or v > 0),
    Rule("monitor.checkpoint.checkpoint_filename", "a file name without /", lambda v, c: bool(v) and "/" not in v),
    Rule("monitor.logging.loggers", "one or more names, each once", lambda v, c: len(v) == len(set(v)) > 0),
    _at_least("monitor.logging.scalar.loss_every_n_steps", 1),
    _at_least("monitor.logging.scalar.max_cremi_patches", 0),
    _at_least("monitor.logging.images.max_images", 0),
    _at_least("monitor.logging.images.num_slices", 1),
    _at_least("monitor.logging.images.log_every_n_epochs", 1),
    _at_least("monitor.early_stopping.patience", 0),
    _at_least("monitor.early_stopping.min_delta", 0),
    _lengths("inference.window.window_size"),
    _divisible("inference.window.window_size"),
    _at_least("inference.window.sw_batch_size", 1),
    _share("inference.window.overlap"),
    Rule("inference.window.max_voxels", "at least the voxels of inference.window.window_size",
         lambda v, c: v >= prod(c.inference.window.window_size or c.data.dataloader.patch_size)),
    Rule("inference.model.channel_activations", 'entries whose channels are "start:stop"',
         lambda v, c: len(v) > 0 and all(is_slice(a.channels) for a in v)),
    Rule("inference.test_time_augmentation.flip_axes", '"all" or axes among 0 (z), 1 (y), 2 (x)',
         lambda v, c: v == "all" or set(v) <= {0, 1, 2}),
    Rule("inference.test_time_augmentation.rotation90_axes", "[] or [1, 2], the axes of the section plane",
         lambda v, c: v in ([], [1, 2])),
    Rule("inference.test_time_augmentation.rotation90_axes",
         "[] where the network is coarser along y than along x, or the other way round (model.rsunet.down_factors)",
         lambda v, c: not v or c.model.total_factor[1] == c.model.total_factor[2]),
    Rule("inference.test_time_augmentation.views_per_window", "null or at least 1", lambda v, c: v is None or v >= 1),
    Rule("inference.block_size", "null or two multiples of 250",
         lambda v, c: v is None or all(n > 0 and n % 250 == 0 for n in v)),
    Rule("inference.block_depth", "null, or at least 1", lambda v, c: v is None or v > 0),
    Rule("decoding.threshold", "between 0 and 1", lambda v, c: 0 < v < 1),
    _at_least("decoding.min_size", 0),
    _at_least("decoding.min_size_um3", 0),
    _odd("decoding.dilation"),
    Rule("decoding.tuning.thresholds", "[first, last, step] with 0 < first <= last < 1, step at least 0.004",
         lambda v, c: 0 < v[0] <= v[1] < 1 and v[2] >= 0.004),
    Rule("decoding.tuning.min_sizes", "null, or one or more numbers of voxels, each at least 0",
         lambda v, c: v is None or (len(v) > 0 and min(v) >= 0 and len(set(v)) == len(v))),
    Rule("evaluation.metrics", "one or more names", lambda v, c: len(v) > 0 and len(set(v)) == len(v)),
    Rule("evaluation.min_iou", "more than 0, at most 1", lambda v, c: 0 < v <= 1),
    Rule("evaluation.strict_iou", "more than 0, at most 1", lambda v, c: 0 < v <= 1),
    Rule("evaluation.max_distance_nm", "null or at least 0", lambda v, c: v is None or v >= 0),
    Rule("evaluation.connectivity", "6, 18 or 26", lambda v, c: v in (6, 18, 26)),
)
# fmt: on


def check(config: Config) -> Iterator[tuple[str, str]]:
    """Yield the key of each setting that breaks a rule, and the complaint about it."""
    for rule in RULES:
        value = attrgetter(rule.key)(config)
        if not rule.holds(value, config):
            yield rule.key, f"is {_written(value)}; it must be {rule.must_be}"


def _written(value: Any) -> Any:
    if isinstance(value, list | tuple) and not any(isinstance(item, int | float | str | tuple) for item in value):
        return f"a list of {len(value)}"
    return list(value) if isinstance(value, tuple) else repr(value) if isinstance(value, str) else value
