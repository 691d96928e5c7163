"""What is computed again instead of being kept gives the same gradients, and counts a batch once."""

import pytest
import torch
from torch import Tensor, nn

from connectomics.config.model import ModelConfig, RSUNetConfig
from connectomics.errors import ConfigError
from connectomics.models import build_model
from connectomics.models.build import recompute_finest_level
from connectomics.models.rsunet import RSUNet


def one_step(norm: str, recomputes: bool) -> tuple[list[Tensor], list[Tensor], int]:
    """Return gradients and running statistics after one batch, and the bytes that were kept for the backward pass."""
    torch.manual_seed(0)
    config = ModelConfig(rsunet=RSUNetConfig(filters=[4, 6, 8], down_factors=[(1, 2, 2)] * 2, norm=norm))  # type: ignore[arg-type]
    model = build_model(config)
    if recomputes:
        recompute_finest_level(model)
    kept: list[int] = []

    def keep(tensor: Tensor) -> Tensor:
        kept.append(tensor.numel() * tensor.element_size())
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        loss = model(torch.rand(2, 1, 4, 16, 16)).square().mean()
    bytes_kept = sum(kept)
    loss.backward()
    return [p.grad for p in model.parameters() if p.grad is not None], list(model.buffers()), bytes_kept


@pytest.mark.parametrize("norm", ["batch", "none", "instance"])
def test_gradients_and_statistics_are_the_same_and_less_is_kept(norm: str) -> None:
    (gradients, statistics, kept), (again, counted, kept_again) = (one_step(norm, flag) for flag in (False, True))
    for one, other in zip(gradients, again, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=0)
    for one, other in zip(statistics, counted, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=0)
    assert kept_again < 0.6 * kept


def test_frozen_statistics_are_used_when_computed_again() -> None:
    torch.manual_seed(0)
    model = build_model(ModelConfig(rsunet=RSUNetConfig(filters=[4, 6], down_factors=[(1, 2, 2)])))
    assert isinstance(model, RSUNet)
    image, gradients = torch.rand(2, 1, 4, 16, 16), []
    for model.recomputes in (False, True):
        model.train().stem.eval()
        model.zero_grad()
        model(image).square().mean().backward()
        gradients.append([p.grad.clone() for p in model.parameters() if p.grad is not None])
    for one, other in zip(*gradients, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=0)


def test_another_network_cannot() -> None:
    with pytest.raises(ConfigError, match=r"only model\.arch\.type=rsunet can"):
        recompute_finest_level(nn.Conv3d(1, 1, 1))
