from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from connectomics.config.model import ModelConfig, RSUNetConfig
from connectomics.models import build_model
from connectomics.models.fold import fold_batch_norm


def trained(memory_format: str = "channels_last_3d", norm: str = "batch", **settings: Any) -> nn.Module:
    """Return a small network whose norms have the statistics and weights of a trained one."""
    torch.manual_seed(3)
    config = RSUNetConfig(filters=[4, 6, 8], down_factors=[(1, 2, 2)] * 2, norm=norm, num_groups=2, **settings)
    network = build_model(ModelConfig(rsunet=config, memory_format=memory_format))
    for module in network.modules():
        if isinstance(module, nn.BatchNorm3d):
            nn.init.uniform_(module.weight, 0.7, 1.4)
            nn.init.normal_(module.bias)
            nn.init.normal_(module.running_mean)
            nn.init.uniform_(module.running_var, 0.5, 2)
    return network.eval()


@pytest.mark.parametrize("memory_format", ["channels_last_3d", "contiguous"])
@pytest.mark.parametrize("input_pooling", [(1, 1, 1), (1, 2, 2)])
def test_a_folded_network_computes_the_same(memory_format, input_pooling) -> None:
    network = trained(memory_format, input_pooling=input_pooling).double()
    image = torch.rand(2, 1, 5, 16, 24, dtype=torch.float64)
    with torch.inference_mode():
        torch.testing.assert_close(fold_batch_norm(network)(image), network(image), rtol=1e-9, atol=1e-9)


def test_in_single_precision_probabilities_stay_the_same() -> None:
    network, image = trained(), torch.rand(2, 1, 5, 16, 24)
    with torch.inference_mode():
        folded, unfolded = fold_batch_norm(network)(image).sigmoid(), network(image).sigmoid()
    torch.testing.assert_close(folded, unfolded, rtol=0, atol=1e-5)


def count_norms(network: nn.Module) -> int:
    return sum(isinstance(module, nn.BatchNorm3d) for module in network.modules())


def test_only_norms_before_a_residual_pair_or_behind_a_pooling_are_left() -> None:
    network = trained()
    assert count_norms(network) == 5 * 4 + 1
    assert count_norms(fold_batch_norm(network)) == 5 + 3  # one for each block; one for the image and each pooling
    assert count_norms(network) == 5 * 4 + 1


@pytest.mark.parametrize("weight", [-0.8, 0.0, 1e-9])
def test_a_norm_that_turns_or_mutes_a_channel_changes_nothing(weight) -> None:
    network = trained().double()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm3d):
            nn.init.constant_(module.weight[:1], weight)
    image = torch.rand(1, 1, 3, 16, 16, dtype=torch.float64)
    folded = fold_batch_norm(network)
    assert count_norms(folded) < count_norms(network)
    with torch.inference_mode():
        torch.testing.assert_close(folded(image), network(image), rtol=1e-9, atol=1e-9)


def test_a_network_of_a_single_level_is_folded_too() -> None:
    torch.manual_seed(3)
    network = build_model(ModelConfig(rsunet=RSUNetConfig(filters=[4], down_factors=[]))).double().eval()
    image = torch.rand(1, 1, 3, 7, 9, dtype=torch.float64)
    with torch.inference_mode():
        torch.testing.assert_close(fold_batch_norm(network)(image), network(image), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("norm", ["group", "instance", "none"])
def test_other_norms_are_left_as_they_are(norm) -> None:
    network = trained(norm=norm)
    image = torch.rand(1, 1, 3, 16, 16)
    with torch.inference_mode():
        torch.testing.assert_close(fold_batch_norm(network)(image), network(image), rtol=0, atol=0)
