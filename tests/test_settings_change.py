"""Changing a setting changes what is built from it."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from connectomics.config import Config, load_config
from connectomics.decoding import decode, in_voxels
from connectomics.errors import ConfigError
from connectomics.inference import plan_inference
from connectomics.runs.job import match_rule
from tests.building import data_of, module_of, trainer_of

Facts = list[Any]


def network(config: Config) -> Facts:
    module = module_of(config)
    strides = [p.stride() for p in module.model.parameters()]
    terms = [(loss.__class__.__name__, vars(loss).get("_buffers"), {k: v for k, v in vars(loss).items() if k[0] != "_"})
             for loss in module.criterion.losses]  # fmt: skip
    learns = [p.requires_grad for p in module.model.parameters()]
    how = [vars(module.model).get("recomputes")]
    return [str(module.model), strides, learns, how, terms, module.criterion.weights, module.criterion.channels]


def course(config: Config) -> Facts:
    module = module_of(config)
    optimizer, scheduler = module.configure_optimizers().values()
    groups = [{k: v for k, v in group.items() if k != "params"} for group in optimizer.param_groups]
    rates = []
    for _ in range(6):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler["scheduler"].step()
    return [type(optimizer), groups, rates, scheduler["interval"]]


def trainer(config: Config) -> Facts:
    built = trainer_of(config, Path("checkpoints"), Path("logs"))
    simple = (int, float, str, bool, type(None))
    callbacks = [
        (type(c).__name__, {k: v for k, v in vars(c).items() if isinstance(v, simple) or k == "_config"})
        for c in built.callbacks
    ]
    return [
        built.max_steps, built.accumulate_grad_batches, built.gradient_clip_val, built.precision,
        [type(logger).__name__ for logger in built.loggers],
        built.log_every_n_steps, torch.backends.cudnn.benchmark, callbacks,
    ]  # fmt: skip


def data(config: Config) -> Facts:
    built = data_of(config)
    patches, validation = built.training_patches(), built.validation_patches()
    drawn = [patches.draw(number) for number in range(4)]
    loader = built.train_dataloader()
    return [
        [(p.image.shape, p.image.sum(dtype=float), p.label.sum(dtype=float), p.valid.sum()) for p in drawn],
        [(type(v.image).__name__, v.intensity) for v in patches.cutter.volumes],
        validation and [validation.windows, *(type(v.image).__name__ for v in validation.cutter.volumes)],
        (len(loader), loader.num_workers, next(iter(loader.batch_sampler))),
        repr(patches.augmentation), repr(patches.sampler.p), [len(p.rich) for p in patches.sampler.positions],
    ]  # fmt: skip


def prediction(config: Config) -> Facts:
    return [plan_inference(config.inference, config.data, config.model)]


def mask(config: Config) -> Facts:
    probability = np.linspace(0, 1, 60, dtype=np.float32).reshape(1, 3, 4, 5)
    return [decode(probability, in_voxels(config.decoding, (40.0, 4.0, 4.0))).tolist()]


def sides(config: Config) -> Facts:
    probability = np.zeros((3, 1, 1, 9), np.float32)
    probability[[0, 2], ..., :2] = probability[[1, 2], ..., 4:7] = 0.7
    return [decode(probability, replace(config.decoding, name="polarity2instance")).tolist()]


def rule(config: Config) -> Facts:
    return [match_rule(config)]


CHANGES: list[tuple[Callable[[Config], Facts], str]] = [
    (network, "model.in_channels=2"),
    (network, "model.out_channels=2 model.loss.losses.0.pred_slice='0:1' model.loss.losses.1.pred_slice='0:1' "
              "inference.model.channel_activations.0.channels='0:2'"),
    (network, "model.memory_format=contiguous"),
    (network, "model.rsunet.input_pooling=[1,2,2]"),
    (network, "model.rsunet.filters=[4,12]"),
    (network, "model.rsunet.down_factors=[[2,2,2]]"),
    (network, "model.rsunet.depth_2d=2"),
    (network, "model.rsunet.kernel_2d=[1,5,5]"),
    (network, "model.rsunet.norm=group model.rsunet.num_groups=4"),
    (network, "model.rsunet={filters: [4, 8, 8], down_factors: [[1,2,2],[1,2,2]], deep_supervision: 1}"),
    (network, "model.rsunet.norm=group model.rsunet.num_groups=2"),
    (network, "model.rsunet.activation=relu"),
    (network, "model.weights={file: x, freeze: [stem]}"),
    (network, "model.loss.losses.0.weight=2"),
    (network, "model.loss.losses.0.function=DiceLoss"),
    (network, "model.loss.losses.0.kwargs={pos_weight: 3}"),
    (network, "model.loss.losses.1.kwargs={smooth_nr: 1}"),
    *((course, f"optimization.{change}") for change in (
        "optimizer.name=Adam", "optimizer.lr=2e-3", "optimizer.eps=1e-6", "optimizer.betas=[0.8,0.9]",
        "optimizer.weight_decay=0.1", "scheduler.name=ConstantLR", "scheduler.min_lr=1e-4",
        "scheduler.interval=epoch", "scheduler.params.t_max=3", "max_steps=4",
        "optimizer.params={amsgrad: true}", "scheduler.warmup_steps=3", "scheduler.name=PolynomialLR",
        "scheduler={name: PolynomialLR, params: {power: 2.0}}",
    )),
    *((trainer, f"optimization.{change}") for change in (
        "max_steps=4", "precision=bf16-mixed", "gradient_clip_val=0", "accumulate_grad_batches=2", "benchmark=false",
        "max_skipped_steps=3",
        "ema.enabled=false", "ema.decay=0.9", "ema.warmup_steps=7", "ema.validate_with_ema=false",
    )),
    *((trainer, f"monitor.{change}") for change in (
        "checkpoint.monitor=val_loss_total", "checkpoint.mode=max", "checkpoint.save_top_k=2",
        "checkpoint.save_every_n_epochs=2", "checkpoint.save_last=false", "checkpoint.checkpoint_filename=x",
        "logging.scalar.max_cremi_patches=2",
        "logging.loggers=[csv]",
        "logging.scalar.loss_every_n_steps=2", "logging.images.max_images=1", "logging.images.num_slices=1",
        "logging.images.log_every_n_epochs=2", "early_stopping.enabled=true",
    )),
    *((trainer, f"monitor.early_stopping.enabled=true monitor.early_stopping.{change}") for change in (
        "patience=3", "min_delta=0.1", "mode=max", "monitor=val_jaccard",
    )),
    (trainer, "data.dataloader.global_batch=6"),
    (network, "optimization.recompute_finest_level=true"),
    (data, "data.dataloader.global_batch=6"),
    (data, "system.seed=5"),
    (data, "system.num_workers=1"),
    (data, "optimization.n_steps_per_epoch=5"),
    *((data, f"data.dataloader.{change}") for change in (
        "patch_size=[2,16,16]", "batch_size=3", "max_val_patches=2", "reject_sampling={size_thres: 3, p: 0.5}",
        "use_preloaded_cache_train=false", "use_preloaded_cache_val=false",
    )),
    (data, "data.dataloader.reject_sampling={size_thres: 3, p: 0.9}"),
    (data, "data.target.type=polarity"),
    (data, "data.target={type: polarity, kwargs: {exclusive: true}}"),
    (data, "data.image_transform.clip_percentile_low=0.1"),
    (data, "data.image_transform.clip_percentile_high=0.9"),
    (data, "data.image_transform.normalize=none"),
    (data, "data.data_transform.pad_size=[0,8,8]"),
    (data, "data.data_transform={pad_size: [0,8,8], pad_mode: constant}"),
    (data, "data.train.crop=[':5',':',':']"),
    (data, "data.val.crop=[':','4:',':']"),
    *((data, f"data.augmentation.{name}.enabled=true") for name in (
        "flip", "rotate", "elastic", "misalignment", "missing_section", "missing_parts", "motion_blur", "cut_noise",
        "zoom", "defocus", "section_brightness",
        "cut_blur", "intensity",
    )),
    *((prediction, f"inference.{change}") for change in (
        "window.window_size=[4,16,32]", "window.sw_batch_size=2", "window.overlap=0.25", "window.blending=constant",
        "window.padding_mode=replicate", "window.whole_plane=true", "preset=fast",
        "test_time_augmentation.enabled=false", "test_time_augmentation.flip_axes=[2]",
        "test_time_augmentation.ensemble_mode=max", "test_time_augmentation.rotation90_axes=[1,2]",
        "test_time_augmentation.views_per_window=4", "model.channel_activations.0.activation=none",
        "block_size=[250,250]", "block_depth=3",
    )),
    (prediction, "inference.window.window_size=null data.dataloader.patch_size=[2,16,16]"),
    (prediction, "data.data_transform.pad_size=[0,8,8]"),
    (prediction, "data.data_transform.pad_mode=replicate"),
    (mask, "decoding.threshold=0.3"),
    (sides, "decoding.threshold=0.9"),
    (sides, "decoding.min_size=3"),
    (sides, "decoding.dilation=[1,1,1]"),
    (mask, "decoding.min_size=40"),
    (mask, "decoding.min_size_um3=0.0003"),
    (rule, "evaluation.min_iou=0.4"),
    (rule, "evaluation.strict_iou=0.6"),
    (rule, "evaluation.max_distance_nm=100"),
    (rule, "evaluation.connectivity=6"),
]  # fmt: skip


@pytest.mark.parametrize(("build", "change"), CHANGES, ids=[change for _, change in CHANGES])
def test_a_changed_setting_changes_what_is_built(small: Path, build: Callable[[Config], Facts], change: str) -> None:
    before = facts(build, load_config(small))
    assert facts(build, load_config(small, _split(change))) != before


def test_determinism_is_asked_of_torch(small: Path) -> None:
    config = load_config(small, ["optimization.deterministic=true", "optimization.benchmark=false"])
    try:
        trainer_of(config, Path("checkpoints"), Path("logs"))
        assert torch.are_deterministic_algorithms_enabled()
    finally:
        torch.use_deterministic_algorithms(False)
    with pytest.raises(ConfigError, match="it must be false when optimization"):
        load_config(small, ["optimization.deterministic=true"])


def facts(build: Callable[[Config], Facts], config: Config) -> str:
    """Return what is built from the settings, in words."""
    torch.manual_seed(0)
    return repr(build(config))


def _split(change: str) -> list[str]:
    """Split overrides at the blanks outside of braces and brackets."""
    parts, depth = [""], 0
    for letter in change:
        depth += (letter in "[{") - (letter in "]}")
        if letter == " " and depth == 0:
            parts.append("")
        else:
            parts[-1] += letter
    return parts
