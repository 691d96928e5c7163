import pickle
from dataclasses import replace

import pytest
import torch
from torch.nn.functional import avg_pool3d

from benchmarks.plain_rsunet import PlainRSUNet
from connectomics.config.model import ModelConfig, RSUNetConfig
from connectomics.errors import CheckpointError, ConfigError
from connectomics.models import build_model
from connectomics.models.build import MEMORY_FORMATS
from connectomics.models.export import export_model, load_exported
from connectomics.models.layers import Conv, Pool, Upsample

SMALL = RSUNetConfig(filters=[4, 6, 8], down_factors=[(1, 2, 2)] * 2)
DEEP = RSUNetConfig(filters=[4, 6, 8], down_factors=[(1, 2, 2), (2, 2, 2)], depth_2d=2)
COARSE = replace(SMALL, input_pooling=(1, 2, 2))


def count(config: RSUNetConfig, **channels: int) -> int:
    return sum(p.numel() for p in build_model(ModelConfig(rsunet=config, **channels)).parameters())


def test_the_tutorials_network_has_8904003_parameters() -> None:
    assert count(RSUNetConfig()) == 8_904_003


def test_the_width_follows_the_filters_and_the_head_the_channels() -> None:
    assert count(SMALL) != count(RSUNetConfig(filters=[4, 6, 10], down_factors=[(1, 2, 2)] * 2))
    assert count(SMALL, out_channels=3) - count(SMALL) == 2 * (4 + 1)


@pytest.mark.parametrize("config", [SMALL, DEEP, COARSE], ids=["anisotropic", "isotropic below", "on pooled pixels"])
@pytest.mark.parametrize("memory_format", list(MEMORY_FORMATS))
@pytest.mark.parametrize("train", [True, False])
def test_the_fast_network_computes_what_the_plain_one_does(
    config: RSUNetConfig, memory_format: str, train: bool
) -> None:
    torch.manual_seed(0)
    model = build_model(ModelConfig(rsunet=config, memory_format=memory_format)).train(train)  # type: ignore[arg-type]
    plain = PlainRSUNet(1, 1, config).train(train)
    plain.load_state_dict(model.state_dict())
    image = torch.rand(2, 1, 4, 16, 24)
    ours = model(image.contiguous(memory_format=MEMORY_FORMATS[memory_format]))
    theirs = plain(image)
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4 * float(theirs.detach().abs().max()))


def test_both_memory_formats_give_the_same_gradients() -> None:
    gradients = []
    for memory_format in MEMORY_FORMATS:
        torch.manual_seed(0)
        model = build_model(ModelConfig(rsunet=SMALL, memory_format=memory_format)).double()
        image = torch.rand(1, 1, 3, 8, 8, dtype=torch.float64)
        model(image.contiguous(memory_format=MEMORY_FORMATS[memory_format])).square().mean().backward()
        gradients.append([p.grad for p in model.parameters()])
    for last, first in zip(*gradients, strict=True):
        torch.testing.assert_close(last, first)


@pytest.mark.parametrize("depth", [1, 2, 5])
def test_any_z_extent_goes_through(depth: int) -> None:
    assert build_model(ModelConfig(rsunet=SMALL)).eval()(torch.rand(1, 1, depth, 8, 12)).shape == (1, 1, depth, 8, 12)


def test_input_pooling_changes_the_grid_and_nothing_else() -> None:
    """On means over blocks, the network without pooling gives the logits that are interpolated."""
    coarse, fine = (build_model(ModelConfig(rsunet=config)).eval() for config in (COARSE, SMALL))
    fine.load_state_dict(coarse.state_dict())
    assert count(COARSE) == count(SMALL)
    image = torch.rand(1, 1, 3, 16, 24)
    torch.testing.assert_close(coarse(image), Upsample((1, 2, 2))(fine(avg_pool3d(image, (1, 2, 2)))))


@pytest.mark.parametrize("axes", [(2,), (3,), (4,), (2, 3, 4)])
def test_blocks_of_pooled_pixels_do_not_move_when_the_image_is_mirrored(axes: tuple[int, ...]) -> None:
    """A network that looks at single pixels sees the same ones in the mirror."""
    config = replace(COARSE, filters=[4], down_factors=[], depth_2d=1, kernel_2d=(1, 1, 1))
    model, image = build_model(ModelConfig(rsunet=config)).eval(), torch.rand(1, 1, 3, 8, 8)
    torch.testing.assert_close(model(image.flip(axes)).flip(axes), model(image))


def test_a_network_can_be_pickled_and_computes_the_same() -> None:
    model, image = build_model(ModelConfig(rsunet=COARSE)).eval(), torch.rand(1, 1, 2, 8, 8)
    torch.testing.assert_close(pickle.loads(pickle.dumps(model))(image), model(image))


def test_input_pooling_counts_in_the_divisor() -> None:
    with pytest.raises(ValueError, match="the x extent 12 must be divisible by 8"):
        build_model(ModelConfig(rsunet=COARSE))(torch.rand(1, 1, 3, 8, 12))


def test_an_extent_that_pooling_does_not_divide_is_refused_with_the_divisor() -> None:
    model = build_model(ModelConfig(rsunet=SMALL))
    with pytest.raises(ValueError, match="the y extent 10 must be divisible by 4"):
        model(torch.rand(1, 1, 3, 10, 8))


@pytest.mark.parametrize("factor", [(1, 2, 2), (2, 2, 2), (1, 4, 2), (3, 1, 1)])
@pytest.mark.parametrize("memory_format", MEMORY_FORMATS.values(), ids=MEMORY_FORMATS)
def test_upsampling_a_constant_returns_it_up_to_the_corners(
    factor: tuple[int, int, int], memory_format: torch.memory_format
) -> None:
    constant = torch.full((2, 3, 3, 4, 5), 0.7).contiguous(memory_format=memory_format)
    finer = Upsample(factor)(constant)
    assert finer.shape == (2, 3, 3 * factor[0], 4 * factor[1], 5 * factor[2])
    torch.testing.assert_close(finer, torch.full_like(finer, 0.7))


def test_layers_of_depth_one_agree_in_both_memory_formats() -> None:
    volume = torch.rand(2, 8, 3, 8, 8)
    for layer in (Conv(8, 5, (1, 3, 3), bias=True), Pool((1, 2, 2)), Pool((1, 2, 2), "mean"), Upsample((1, 2, 2))):
        torch.testing.assert_close(layer(volume.contiguous(memory_format=torch.channels_last_3d)), layer(volume))


@pytest.mark.parametrize("norm", ["batch", "group", "instance", "none"])
@pytest.mark.parametrize("activation", ["elu", "relu", "leakyrelu", "prelu"])
def test_every_norm_and_activation_trains(norm: str, activation: str) -> None:
    config = RSUNetConfig(filters=[4, 8], down_factors=[(1, 2, 2)], norm=norm, activation=activation, num_groups=4)  # type: ignore[arg-type]
    model = build_model(ModelConfig(rsunet=config))
    model(torch.rand(2, 1, 2, 8, 8)).mean().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())


def test_an_unknown_network_is_named_with_the_close_match() -> None:
    config = ModelConfig()
    config.arch.type = "rsunnet"
    with pytest.raises(ConfigError, match=r"model\.arch\.type is 'rsunnet'; .* did you mean 'rsunet'"):
        build_model(config)


def test_an_exported_network_loads_without_lightning_and_computes_the_same(tmp_path) -> None:
    config = ModelConfig(rsunet=DEEP)
    model = build_model(config).eval()
    folder = export_model(tmp_path / "export", model.state_dict(), config, {"patch_size": [4, 8, 8]})
    image = torch.rand(1, 1, 4, 8, 8)
    with torch.no_grad():
        torch.testing.assert_close(load_exported(folder)(image), model(image))
    (folder / "model.safetensors").write_bytes(b"")
    with pytest.raises(CheckpointError, match="does not hold an exported network"):
        load_exported(folder)
