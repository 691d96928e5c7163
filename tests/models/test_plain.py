"""The network against its definition, written down without anything in place, for every norm and activation."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from connectomics.config.model import ModelConfig, RSUNetConfig
from connectomics.models import build_model
from connectomics.models.build import MEMORY_FORMATS
from connectomics.models.fold import fold_batch_norm

NORMS, ACTIVATIONS = ("batch", "group", "instance", "none"), ("elu", "relu", "leakyrelu", "prelu")
GROUPS = 2
Weights = dict[str, Tensor]


def plain_norm_act(x: Tensor, weights: Weights, at: str, config: RSUNetConfig, train: bool) -> Tensor:
    """Return the activation of the norm of x, by formulas; `at` is where the weights of the pair lie."""
    weight, bias = weights.get(f"{at}.0.weight"), weights.get(f"{at}.0.bias")
    if config.norm == "batch":
        mean, var = x.mean((0, 2, 3, 4)), x.var((0, 2, 3, 4), unbiased=False)
        if not train:
            mean, var = weights[f"{at}.0.running_mean"], weights[f"{at}.0.running_var"]
        x = (x - mean[:, None, None, None]) / torch.sqrt(var + 1e-5)[:, None, None, None]
    elif config.norm != "none":
        size = 1 if config.norm == "instance" or x.shape[1] == 1 else x.shape[1] // GROUPS
        grouped = x.reshape(x.shape[0], -1, size, *x.shape[2:])
        mean, var = grouped.mean((2, 3, 4, 5), True), grouped.var((2, 3, 4, 5), unbiased=False, keepdim=True)
        x = ((grouped - mean) / torch.sqrt(var + 1e-5)).reshape(x.shape)
    if config.norm != "none":
        x = x * weight[:, None, None, None] + bias[:, None, None, None]
    if config.activation == "elu":
        return torch.where(x > 0, x, torch.exp(x.clamp(max=0)) - 1)
    slope = {"relu": 0.0, "leakyrelu": 0.01}.get(config.activation)
    return torch.where(x > 0, x, (weights[f"{at}.1.weight"] if slope is None else slope) * x)


def plain_conv(x: Tensor, weights: Weights, at: str) -> Tensor:
    weight = weights[f"{at}.weight"]
    return F.conv3d(x, weight, weights.get(f"{at}.bias"), padding=[k // 2 for k in weight.shape[2:]])


def plain_block(x: Tensor, weights: Weights, at: str, config: RSUNetConfig, train: bool) -> Tensor:
    def led(x: Tensor, part: str, first: int = 0) -> Tensor:
        return plain_conv(plain_norm_act(x, weights, f"{at}.{part}.{first}", config, train), weights,
                          f"{at}.{part}.{first + 1}")  # fmt: skip

    x = led(x, "pre")
    return led(x + led(led(x, "residual"), "residual", 2), "post")


def plain_network(image: Tensor, weights: Weights, config: RSUNetConfig, train: bool) -> Tensor:
    """Return the logits of the network with these weights."""

    def upsample(x: Tensor, factor: tuple[int, int, int]) -> Tensor:
        return F.interpolate(x, scale_factor=[float(f) for f in factor], mode="trilinear", align_corners=False)

    x = plain_block(F.avg_pool3d(image, config.input_pooling), weights, "stem", config, train)
    skips = []
    for d, factor in enumerate(config.down_factors):
        skips.append(x)
        x = plain_block(F.max_pool3d(x, factor), weights, f"downs.{d}.1", config, train)
    for u, (factor, skip) in enumerate(zip(reversed(config.down_factors), reversed(skips), strict=True)):
        x = plain_conv(upsample(x, factor), weights, f"ups.{u}.project") + skip
        x = plain_block(x, weights, f"ups.{u}.block", config, train)
    return upsample(plain_conv(plain_norm_act(x, weights, "head.0", config, train), weights, "head.1"),
                    config.input_pooling)  # fmt: skip


def network(memory_format: str = "channels_last_3d", **settings: Any) -> tuple[nn.Module, RSUNetConfig]:
    """Return a small network in double precision whose norms are as after some training."""
    torch.manual_seed(7)
    usual = {"filters": [4, 6, 8], "down_factors": [(1, 2, 2)] * 2, "num_groups": GROUPS}
    config = RSUNetConfig(**usual | settings)
    model = build_model(ModelConfig(rsunet=config, memory_format=memory_format)).double()  # type: ignore[arg-type]
    for name, values in model.state_dict().items():
        if name.endswith("running_var") or ".0.weight" in name:
            nn.init.uniform_(values, 0.5, 1.5)
        elif name.endswith(("running_mean", ".0.bias")):
            nn.init.normal_(values)
    return model, config


def same(model: nn.Module, config: RSUNetConfig, memory_format: str = "channels_last_3d") -> None:
    """Compare logits and gradients in training, logits in evaluation, of the folded network too."""
    original = torch.rand(2, 1, 3, 16, 16, dtype=torch.float64) - 0.5  # below 0 activations differ from the identity
    image = original.contiguous(memory_format=MEMORY_FORMATS[memory_format])
    for train in (False, True):
        weights = {name: value.detach().clone() for name, value in model.state_dict().items()}
        learnt = {name: weights[name].requires_grad_() for name, _ in model.named_parameters()}
        wanted, logits = plain_network(original, weights, config, train), model.train(train)(image)
        torch.testing.assert_close(logits, wanted, rtol=1e-9, atol=1e-9)
        model.zero_grad()
        logits.square().mean().backward()
        wanted.square().mean().backward()
        for name, parameter in model.named_parameters():
            torch.testing.assert_close(parameter.grad, learnt[name].grad, rtol=1e-7, atol=1e-9)
    with torch.inference_mode():
        model.eval()
        torch.testing.assert_close(fold_batch_norm(model)(image), model(image), rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(image, original, rtol=0, atol=0)  # the caller's array is the caller's


@pytest.mark.parametrize(("norm", "activation"), list(itertools.product(NORMS, ACTIVATIONS)))
@pytest.mark.parametrize("depth_2d", [0, 1, 3])
@pytest.mark.parametrize("input_pooling", [(1, 1, 1), (1, 2, 2)])
def test_the_network_is_its_plain_definition(norm: str, activation: str, depth_2d: int, input_pooling: Any) -> None:
    same(*network(norm=norm, activation=activation, depth_2d=depth_2d, input_pooling=input_pooling))


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("settings", [
    {"memory_format": "contiguous"}, {"filters": [4], "down_factors": []}, {"down_factors": [(1, 1, 1), (2, 2, 2)]},
])  # fmt: skip
def test_so_it_is_in_another_memory_format_of_one_level_and_with_other_factors(norm: str, settings: Any) -> None:
    model, config = network(norm=norm, **settings)
    image = torch.rand(2, 1, 4, 16, 16, dtype=torch.float64)
    model.eval()
    with torch.no_grad():
        wanted = plain_network(image, model.state_dict(), config, train=False)
        for one in (model, fold_batch_norm(model)):
            torch.testing.assert_close(one(image.clone()), wanted, rtol=1e-9, atol=1e-9)
