"""The networks that MONAI builds: each goes the whole way, on a tiny scale."""

import ast
import inspect
import sys
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from connectomics.config import load_config
from connectomics.config.model import ArchConfig, ModelConfig
from connectomics.errors import ConfigError
from connectomics.models import MODELS, build_model, monai_builders
from connectomics.models.export import export_model, load_exported
from connectomics.runs.assemble import require_divisible
from connectomics.runs.cli import main
from tests.runs.reading import only_run
from tests.small_run import write_pair

MONAI: dict[str, Any] = {
    "monai_basic_unet3d": ("BasicUNet", [16, 16, 32], "features=[4,4,8,8,8,4]"),
    "monai_unet": ("UNet", [3, 16, 16], "channels=[4,8,8]", "strides=[[1,2,2],[1,2,2]]", "num_res_units=1"),
    "monai_dynunet": ("DynUNet", [3, 16, 16], "filters=[4,8,8]", "kernel_size=[[1,3,3],[3,3,3],[3,3,3]]",
                      "strides=[[1,1,1],[1,2,2],[1,2,2]]"),
    "monai_segresnet": ("SegResNet", [4, 16, 16], "init_filters=8", "blocks_down=[1,1]", "blocks_up=[1]"),
    "monai_swin_unetr": ("SwinUNETR", [32, 32, 32], "feature_size=12", "depths=[1,1,1,1]", "num_heads=[1,1,2,2]",
                         "window_size=[2,2,2]", "norm_name=batch"),
    "monai_mednext": ("MedNeXt", [16, 16, 32], "init_filters=4", "blocks_down=[1,1,1,1]", "blocks_up=[1,1,1,1]",
                      "blocks_bottleneck=1"),
}  # fmt: skip
"""MONAI's class, a patch that fits, and settings of a small network."""

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning", "ignore::UserWarning")


def settings(name: str) -> list[str]:
    _, patch, *own = MONAI[name]
    size = str(patch).replace(" ", "")
    return [f"model.arch.type={name}", *(f"model.{name}.{change}" for change in own),
            f"data.dataloader.patch_size={size}", f"inference.window.window_size={size}"]  # fmt: skip


def model_of(small: Path, name: str, *more: str) -> ModelConfig:
    return load_config(small, [*settings(name), *more]).model


@pytest.fixture
def monai() -> Any:
    return pytest.importorskip("monai.networks.nets")


def test_every_network_of_the_table_but_ours_is_tested_here() -> None:
    assert set(MODELS) == {"rsunet", *MONAI}


@pytest.mark.parametrize("name", MONAI)
def test_a_section_holds_arguments_that_monai_takes(monai: Any, name: str) -> None:
    takes = inspect.signature(vars(monai)[MONAI[name][0]]).parameters
    assert {spec.name for spec in fields(getattr(ModelConfig(), name))} <= set(takes)


@pytest.mark.parametrize("name", MONAI)
def test_logits_have_the_shape_of_the_image_for_extents_that_the_factor_divides(
    monai: Any, small: Path, name: str
) -> None:
    config = model_of(small, name, "model.in_channels=2")
    network = build_model(config).eval()
    factor = MODELS[name].total_factor(config)
    for times in ((1, 2, 2), (2, 1, 3)):
        shape = [f * n for f, n in zip(factor, times, strict=True)]
        with torch.no_grad():
            assert network(torch.rand(1, 2, *shape)).shape == (1, 1, *shape)


@pytest.mark.parametrize("name", MONAI)
def test_extents_that_do_not_fit_are_refused_with_the_factor(small: Path, name: str) -> None:
    config = load_config(small, settings(name))
    require_divisible(config)
    y = MODELS[name].total_factor(config.model)[1]
    config.data.dataloader.patch_size = (32, 3 * y + 1, 64)
    with pytest.raises(ConfigError, match=r"patch_size is .* must be divisible by"):
        require_divisible(config)


@pytest.mark.parametrize("name", MONAI)
def test_each_trains_ten_steps_resumes_tests_and_is_exported(
    monai: Any, small: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = small.parent
    for seed, volume in enumerate(("train", "val", "test")):
        z, y, x = MONAI[name][1]
        write_pair(folder, volume, (z + 1, y + 2, x + 1), seed)
    own = ["--config", str(small), *settings(name), "data.dataloader.max_val_patches=1"]
    assert main([*own, "optimization.n_steps_per_epoch=5", "optimization.max_steps=5"]) == 0
    assert main([*own, "optimization.n_steps_per_epoch=5", "optimization.max_steps=10", "--resume", "auto"]) == 0
    run = only_run(folder / "runs")
    last = run / "checkpoints" / "last.ckpt"
    quick = ["inference.test_time_augmentation.enabled=false", "inference.window.overlap=0.0",
             "inference.window.sw_batch_size=1", "evaluation.report=false"]  # fmt: skip
    assert main([*own, "--mode", "test", "--checkpoint", str(last), *quick]) == 0
    assert "trained 10 steps" in capsys.readouterr().out
    assert (run / "results" / "test_im_test_prediction.h5").is_file()
    saved = torch.load(last, weights_only=True)
    config = model_of(small, name)
    load_exported(export_model(folder / "export", saved["ema"]["weights"], config, {}))


@pytest.mark.parametrize(
    ("name", "change", "says"),
    [("monai_unet", "strides=[[1,2,2]]", "one triple fewer"),
     ("monai_unet", "kernel_size=[2,3,3]", "three odd numbers"),
     ("monai_dynunet", "strides=[[2,1,1],[1,2,2],[1,2,2]]", r"\[1, 1, 1\] and a triple"),
     ("monai_segresnet", "init_filters=12", "a multiple of 8"),
     ("monai_swin_unetr", "feature_size=20", "multiple of 12"),
     ("monai_mednext", "kernel_size=4", "an odd number"), ("monai_basic_unet3d", "features=[4]", "six widths"),
     ("monai_unet", "channel=[4,8]", "did you mean 'channels'")],
)  # fmt: skip
def test_settings_that_cannot_be_are_refused_before_monai_is_imported(
    small: Path, name: str, change: str, says: str
) -> None:
    with pytest.raises(ConfigError, match=says):
        load_config(small, [*settings(name), f"model.{name}.{change}"])


@pytest.mark.parametrize(
    ("name", "setting"), [(name, spec.name) for name in MONAI for spec in fields(getattr(ModelConfig(), name))]
)
def test_a_changed_setting_changes_what_monai_is_given(
    name: str, setting: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[dict[str, Any]] = []
    monkeypatch.setattr(monai_builders, "_build", lambda *names, **arguments: given.append(arguments) or nn.Identity())
    config = ModelConfig(arch=ArchConfig(type=name))
    build_model(config)
    own = getattr(config, name)
    value = getattr(own, setting)
    other = {str: "batch", bool: not value, int: 5, float: 0.5, list: [9, 9, 9], tuple: (5, 5, 5)}[type(value)]
    setattr(own, setting, other)
    build_model(config)
    assert given[0][setting] != given[1][setting]


def test_what_monai_refuses_is_told_with_the_section(monai: Any, small: Path) -> None:
    config = model_of(small, "monai_unet", "model.monai_unet.act=softest")
    with pytest.raises(ConfigError, match=r"model\.monai_unet does not fit MONAI's UNet"):
        build_model(config)


def test_a_missing_monai_is_told_with_what_to_install(small: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "monai.networks.nets", None)
    with pytest.raises(ConfigError, match=r"needs MONAI .* install monai and einops"):
        build_model(model_of(small, "monai_unet"))


def test_no_module_imports_monai_by_itself() -> None:
    for path in (Path(__file__).parents[2] / "connectomics").rglob("*.py"):
        names = [alias.name for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
                 if isinstance(node, ast.Import) for alias in node.names]  # fmt: skip
        froms = [node.module or "" for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
                 if isinstance(node, ast.ImportFrom)]  # fmt: skip
        assert not [name for name in names + froms if name.startswith("monai")], path
