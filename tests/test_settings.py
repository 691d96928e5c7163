"""Every setting is read by code, and the tutorials say every setting that matters."""

import sys
from collections.abc import Iterator
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from typing import Any, get_args, get_type_hints

import numpy as np
import pytest
import yaml
from torch import nn

from connectomics.config import Config, as_plain, load_configs
from connectomics.config.augmentation import AugmentationConfig
from connectomics.config.decoding import DecodingConfig
from connectomics.config.model import ArchConfig, ModelConfig
from connectomics.config.optimization import OptimizationConfig, SchedulerConfig
from connectomics.config.slices import parse_slice
from connectomics.data.augment import AUGMENTATIONS, Augmentation, build_augmentation
from connectomics.decoding import DECODERS, decode
from connectomics.models import MODELS, build_model, monai_builders
from connectomics.runs.assemble import check_names
from connectomics.runs.cli import main
from connectomics.training.optimizers import SCHEDULERS, build_optimizer, build_scheduler
from tests.runs.reading import only_run

TUTORIALS = Path(__file__).parents[1] / "tutorials"
NOT_IN_A_TUTORIAL = {"system.num_processes"}


def sections(schema: type, key: str = "") -> Iterator[tuple[type, str, str]]:
    """Yield section class, name and full dotted key of every setting that holds a value."""
    for name, hint in get_type_hints(schema).items():
        full = f"{key}.{name}" if key else name
        inner = next((h for h in (hint, *get_args(hint)) if is_dataclass(h)), None)
        if inner is not None:
            yield from sections(inner, full)  # type: ignore[arg-type]
        else:
            yield schema, name, full


SETTINGS = {(section, name): key for section, name, key in sections(Config)}
PROBABILITIES = ("flip.prob", "rotate.prob", "elastic.prob", "misalignment.prob", "missing_section.prob",
                 "missing_parts.prob", "zoom.prob", "defocus.prob",
                 "section_brightness.prob", "motion_blur.prob", "cut_noise.prob", "cut_blur.prob",
                 "intensity.gaussian_noise_prob", "intensity.shift_intensity_prob",
                 "intensity.contrast_prob")  # fmt: skip
EVERYTHING_ON = [
    *(f"data.augmentation.{name}.enabled=true" for name in AUGMENTATIONS),
    *(f"data.augmentation.{name}=1.0" for name in PROBABILITIES),
    "monitor.early_stopping.enabled=true",
    "model.rsunet.norm=group",
    "model.rsunet.num_groups=2",
    "data.dataloader.reject_sampling={size_thres: 3, p: 0.5}",
    "data.image_transform.clip_percentile_low=0.01",
]


@pytest.fixture
def read_settings(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """Return the set of settings that code outside `connectomics.config` reads from now on.

    The settings of an augmentation are the fields of its step, and are read there.
    """
    seen: set[str] = set()

    def record(section: type, keys: dict[str, str]) -> None:
        usual = section.__getattribute__

        def reading(self: Any, name: str) -> Any:
            reader = sys._getframe(1).f_globals.get("__name__", "")
            if reader.startswith("connectomics.") and not reader.startswith("connectomics.config") and name in keys:
                seen.add(keys[name])
            return usual(self, name)

        monkeypatch.setattr(section, "__getattribute__", reading)

    for section in {section for section, _ in SETTINGS}:
        record(section, {name: key for (owner, name), key in SETTINGS.items() if owner is section})
    for name, step in AUGMENTATIONS.items():
        record(step, {spec.name: f"data.augmentation.{name}.{spec.name}" for spec in fields(step)})
    return seen


def test_every_setting_is_read_by_code(small: Path, read_settings: set[str], monkeypatch: pytest.MonkeyPatch) -> None:
    assert main(["--config", str(small), *EVERYTHING_ON]) == 0
    last = only_run(small.parent / "runs") / "checkpoints" / "last.ckpt"
    group = ["model.rsunet.norm=group", "model.rsunet.num_groups=2"]
    assert main(["--config", str(small), "--mode", "test", "--checkpoint", str(last), *group]) == 0
    again = [*group, f"model.weights={{file: {last}, strict: false}}"]
    assert main(["--config", str(small), "--fast-dev-run", "1", *again]) == 0
    for name in SCHEDULERS:
        course = OptimizationConfig(scheduler=SchedulerConfig(name=name))
        build_scheduler(build_optimizer(nn.Linear(1, 1), course.optimizer), course)
    monkeypatch.setattr(monai_builders, "_build", lambda *names, **arguments: nn.Identity())
    for name in MODELS:
        build_model(ModelConfig(arch=ArchConfig(type=name)))
    for name in DECODERS:
        decode(np.zeros((3, 1, 2, 2), np.float32), DecodingConfig(name=name))
    assert main(["--config", str(small), "--mode", "tune", "--checkpoint", str(last), *group]) == 0
    switches = {f"data.augmentation.{name}.enabled" for name in AUGMENTATIONS}
    assert set(SETTINGS.values()) - read_settings - switches == set()


@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_each_augmentation_has_a_switch_and_its_settings_reach_the_step(name: str) -> None:
    section = {spec.name for spec in fields(get_type_hints(AugmentationConfig)[name])}
    assert section - {"enabled"} == {spec.name for spec in fields(AUGMENTATIONS[name])}
    config = AugmentationConfig()
    assert build_augmentation(config) == Augmentation()
    on = replace(config, **{name: get_type_hints(AugmentationConfig)[name](enabled=True)})
    built = build_augmentation(on)
    assert [type(step) for step in (*built.geometric, *built.image)] == [AUGMENTATIONS[name]]


@pytest.mark.parametrize("path", sorted(TUTORIALS.glob("*.yaml")), ids=lambda path: path.name)
def test_a_tutorial_loads_in_every_mode(path: Path) -> None:
    assert set(load_configs(path)) == {"train", "tune", "test"}


@pytest.mark.parametrize("name", ["syn_cremi", "syn_em_r50"])
def test_a_benchmark_tutorial_names_every_setting(name: str) -> None:
    tree = yaml.safe_load((TUTORIALS / f"{name}.yaml").read_text())
    named: set[str] = {"experiment_name", "save_path"}
    for stage in ("default", "train", "tune", "test"):
        named |= set(_keys(tree[stage]))
    wanted = set(SETTINGS.values()) - NOT_IN_A_TUTORIAL
    assert wanted <= named


def _keys(tree: Any, key: str = "") -> Iterator[str]:
    if isinstance(tree, dict) and key.rpartition(".")[2] != "kwargs":
        for name, value in tree.items():
            yield from _keys(value, f"{key}.{name}" if key else name)
    elif isinstance(tree, list) and tree and isinstance(tree[0], dict):
        for entry in tree:
            yield from _keys(entry, key)
    yield key


PINNED = {
    "experiment_name": "rsunet_cremi_synapse_cleft",
    "save_path": "outputs/rsunet_cremi_synapse_cleft",
    "system.num_gpus": -1,
    "system.num_workers": -1,
    "system.seed": 42,
    "model.arch.type": "rsunet",
    "model.in_channels": 1,
    "model.out_channels": 1,
    "model.rsunet.input_pooling": (1, 1, 1),
    "model.rsunet.filters": [32, 64, 96, 128, 160],
    "model.rsunet.down_factors": [(1, 2, 2)] * 4,
    "model.rsunet.depth_2d": 1,
    "model.rsunet.kernel_2d": (1, 3, 3),
    "model.rsunet.norm": "batch",
    "model.rsunet.activation": "elu",
    "model.rsunet.num_groups": 8,
    "model.rsunet.deep_supervision": 0,
    "data.dataloader.patch_size": (18, 256, 256),
    "data.image_transform.normalize": "0-1",
    "data.image_transform.clip_percentile_low": 0.0,
    "data.image_transform.clip_percentile_high": 1.0,
    "data.data_transform.pad_size": (0, 32, 32),
    "data.data_transform.pad_mode": "reflect",
    "data.dataloader.reject_sampling.size_thres": 1000,
    "data.dataloader.reject_sampling.p": 0.95,
    "data.dataloader.use_preloaded_cache_train": True,
    "data.dataloader.use_preloaded_cache_val": True,
    "data.train.resolution": (40.0, 4.0, 4.0),
    "data.augmentation.flip.prob": 0.5,
    "data.augmentation.flip.spatial_axis": [1, 2],
    "data.augmentation.rotate.prob": 0.5,
    "data.augmentation.rotate.max_angle": 90.0,
    "data.augmentation.elastic.prob": 0.3,
    "data.augmentation.elastic.sigma_range": (15.0, 30.0),
    "data.augmentation.elastic.magnitude_range": (2.0, 6.0),
    "data.augmentation.intensity.gaussian_noise_prob": 0.3,
    "data.augmentation.intensity.gaussian_noise_std": 0.05,
    "data.augmentation.intensity.shift_intensity_prob": 0.3,
    "data.augmentation.intensity.shift_intensity_offset": 0.1,
    "data.augmentation.intensity.contrast_prob": 0.3,
    "data.augmentation.intensity.contrast_range": (0.7, 1.4),
    "data.augmentation.misalignment.prob": 0.5,
    "data.augmentation.misalignment.displacement": 16,
    "data.augmentation.misalignment.rotate_ratio": 0.0,
    "data.augmentation.missing_section.prob": 0.3,
    "data.augmentation.missing_section.num_sections": 2,
    "data.augmentation.motion_blur.prob": 0.3,
    "data.augmentation.motion_blur.sections": 2,
    "data.augmentation.motion_blur.kernel_size": 11,
    "data.augmentation.cut_noise.enabled": False,
    "data.augmentation.cut_blur.enabled": False,
    "data.augmentation.missing_parts.enabled": False,
    "optimization.max_steps": 150000,
    "optimization.n_steps_per_epoch": 1280,
    "optimization.precision": "bf16-mixed",
    "optimization.gradient_clip_val": 1.0,
    "optimization.accumulate_grad_batches": 1,
    "optimization.deterministic": False,
    "optimization.benchmark": True,
    "optimization.optimizer.name": "AdamW",
    "optimization.optimizer.lr": 1e-3,
    "optimization.optimizer.eps": 1e-8,
    "optimization.optimizer.betas": (0.9, 0.999),
    "optimization.optimizer.weight_decay": 0.01,
    "optimization.scheduler.name": "CosineAnnealingLR",
    "optimization.scheduler.min_lr": 1e-5,
    "optimization.scheduler.interval": "step",
    "optimization.scheduler.params.t_max": None,
    "optimization.ema.enabled": True,
    "optimization.ema.decay": 0.999,
    "optimization.ema.warmup_steps": 500,
    "optimization.ema.validate_with_ema": True,
    "monitor.checkpoint.monitor": "train_loss_total_epoch",
    "monitor.checkpoint.save_top_k": 3,
    "monitor.checkpoint.save_every_n_epochs": 10,
    "monitor.checkpoint.save_last": True,
    "monitor.logging.scalar.loss_every_n_steps": 10,
    "monitor.logging.images.max_images": 8,
    "monitor.logging.images.num_slices": 9,
    "monitor.logging.images.log_every_n_epochs": 1,
    "monitor.early_stopping.enabled": False,
    "inference.window.window_size": (18, 256, 256),
    "inference.window.sw_batch_size": 4,
    "inference.window.overlap": 0.5,
    "inference.window.blending": "bump",
    "inference.window.padding_mode": "reflect",
    "inference.test_time_augmentation.enabled": True,
    "inference.test_time_augmentation.flip_axes": "all",
    "inference.test_time_augmentation.ensemble_mode": "mean",
    "inference.save_results": True,
    "inference.save_dtype": "float32",
    "inference.save_backend": "h5",
    "evaluation.enabled": True,
    "evaluation.metrics": ["cremi_distance", "jaccard"],
}


def test_the_cremi_tutorial_keeps_what_the_field_knows() -> None:
    config = load_configs(TUTORIALS / "syn_cremi.yaml")["train"]
    found = {}
    for key in PINNED:
        value: Any = config
        for name in key.split("."):
            assert name in {spec.name for spec in fields(value)}
            value = object.__getattribute__(value, name)
        found[key] = value
    assert found == PINNED
    scheduler = build_scheduler(build_optimizer(nn.Linear(1, 1), config.optimization.optimizer), config.optimization)
    (factor, _) = scheduler.lr_lambdas
    assert factor(149_999) > factor(150_000) == factor(150_001) == pytest.approx(0.01)  # `t_max` is `max_steps`
    terms = [(term.function, term.weight, term.kwargs) for term in config.model.loss.losses]
    assert terms == [
        ("WeightedBCEWithLogitsLoss", 1.0, {}),
        ("DiceLoss", 1.0, {"sigmoid": True, "smooth_nr": 1e-5, "smooth_dr": 1e-5}),
    ]


def test_the_em_r50_tutorial_is_the_cremi_recipe_but_for_what_polarity_needs() -> None:
    cremi, ours = (as_plain(load_configs(TUTORIALS / f"syn_{name}.yaml")["train"]) for name in ("cremi", "em_r50"))
    assert ours["model"]["out_channels"] == 3
    assert ours["data"]["target"] == {"type": "polarity", "kwargs": {"exclusive": False}}
    assert ours["data"]["dataloader"]["reject_sampling"] == {"size_thres": 2000, "p": 0.95}
    assert ours["data"]["data_transform"]["pad_size"] == [4, 48, 48]
    assert {term["function"]: term["weight"] for term in ours["model"]["loss"]["losses"]} == {
        "WeightedBCEWithLogitsLoss": 1.0, "DiceLoss": 0.5, "NonOverlapLoss": 4.0,
    }  # fmt: skip
    assert ours["inference"]["model"]["channel_activations"] == [{"channels": "0:3", "activation": "sigmoid"}]
    decoding = {"name": "polarity2instance", "threshold": 0.5, "min_size": 128, "dilation": [1, 5, 5]}
    assert {name: ours["decoding"][name] for name in decoding} == decoding
    assert ours["decoding"]["tuning"]["metric"] == "polarity_f1"
    assert ours["evaluation"]["metrics"] == ["polarity_f1", "jaccard"]
    assert all("Yx2.h5" in ours["data"][stage]["image"][0] for stage in ("train", "val"))
    for section in ("system", "optimization", "monitor"):
        assert ours[section] == cremi[section]
    assert ours["data"]["augmentation"] == cremi["data"]["augmentation"]
    assert {**ours["model"], "out_channels": 1, "loss": None} == {**cremi["model"], "loss": None}
    assert ours["inference"]["window"] == cremi["inference"]["window"]


@pytest.mark.parametrize("path", sorted(TUTORIALS.glob("*.yaml")), ids=lambda path: path.name)
def test_the_names_in_a_tutorial_are_known_and_go_together(path: Path) -> None:
    check_names(load_configs(path))


@pytest.mark.parametrize("path", sorted(TUTORIALS.glob("*.yaml")), ids=lambda path: path.name)
def test_training_validation_and_test_of_a_tutorial_share_no_section(path: Path) -> None:
    used: dict[str, list[tuple[str, range]]] = {}
    config = load_configs(path)
    for stage, volumes in (("train", config["train"].data.train), ("val", config["train"].data.val),
                           ("test", config["test"].data.test)):  # fmt: skip
        for image in volumes.image:
            used.setdefault(image, []).append((stage, parse_slice((volumes.crop or (":",))[0], 100, stage)))
    for image, parts in used.items():
        seen = [(stage, z) for stage, sections in parts for z in sections]
        train = {z for stage, z in seen if stage == "train"}
        assert train.isdisjoint(z for stage, z in seen if stage != "train"), image
