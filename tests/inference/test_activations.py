from __future__ import annotations

import numpy as np
import pytest
import torch

from connectomics.config.inference import ChannelActivationConfig
from connectomics.errors import ConfigError
from connectomics.inference.activations import build_activations


def entries(*pairs: tuple[str, str]) -> list[ChannelActivationConfig]:
    return [ChannelActivationConfig(channels=channels, activation=activation) for channels, activation in pairs]


def test_each_group_of_channels_has_its_own_activation() -> None:
    logits = torch.randn(2, 4, 3, 5, 6)
    activated = build_activations(entries(("0:1", "sigmoid"), ("1:3", "softmax"), ("3:4", "none")), 4)(logits)
    torch.testing.assert_close(activated[:, 0], torch.sigmoid(logits[:, 0]))
    torch.testing.assert_close(activated[:, 1:3].sum(1), torch.ones(2, 3, 5, 6))
    torch.testing.assert_close(activated[:, 3], logits[:, 3])


def test_half_precision_logits_become_float32_probabilities() -> None:
    assert (
        build_activations(entries(("0:1", "sigmoid")), 1)(torch.zeros(1, 1, 2, 2, 2).bfloat16()).dtype == torch.float32
    )


def test_only_probabilities_are_bound() -> None:
    voxels = np.full((3, 2, 2, 2), np.nextafter(np.float32(1), np.float32(2)))
    build_activations(entries(("0:1", "sigmoid"), ("1:2", "none"), ("2:3", "softmax")), 3).bound(voxels)
    assert (voxels[0] == 1).all()
    assert (voxels[1] > 1).all()
    assert (voxels[2] == 1).all()


@pytest.mark.parametrize(
    ("pairs", "message"),
    [
        ([("0:1", "sigmoid")], "channel 1 is named by none"),
        ([("0:2", "sigmoid"), ("1:2", "none")], "channel 1 is named by 2 of them"),
        ([("0:3", "sigmoid")], "does not lie within the 2 there are"),
        ([("0:2", "sigmoyd")], "did you mean 'sigmoid'"),
    ],
)
def test_channels_that_are_not_named_once_are_refused(pairs, message) -> None:
    with pytest.raises(ConfigError, match=message):
        build_activations(entries(*pairs), 2)
