from __future__ import annotations

import shutil

import pytest
import torch
from torch import Tensor, nn
from torch._dynamo.exc import TorchDynamoException

from connectomics.errors import DeviceError
from connectomics.inference import Forward
from connectomics.runs.network import forward_on

CPU = torch.device("cpu")


def forward(compiled: bool) -> Forward:
    return forward_on(CPU, nn.ELU(), torch.channels_last_3d, "32-true", compiled)


def test_the_network_is_compiled_only_when_the_settings_say_so(monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[nn.Module] = []
    monkeypatch.setattr(torch, "compile", lambda network: given.append(network) or network)
    windows = torch.rand(1, 1, 2, 4, 4)
    for wanted in (False, True):
        assert not given
        torch.testing.assert_close(forward(wanted)(windows), windows)
    assert len(given) == 1


def test_a_machine_that_cannot_compile_is_told_what_to_set(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(windows: Tensor) -> Tensor:
        raise TorchDynamoException("No working C++ compiler found\nand a long explanation")

    monkeypatch.setattr(torch, "compile", lambda network: fail)
    message = r"inference\.compile is true, but .* \(No working C\+\+ compiler found\); set it to false"
    with pytest.raises(DeviceError, match=message):
        forward(compiled=True)(torch.rand(1, 1, 2, 4, 4))


@pytest.mark.skipif(shutil.which("g++") is None, reason="needs a C++ compiler")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # torch's own, of what its compiler imports
def test_a_compiled_network_computes_the_same() -> None:
    windows = torch.randn(1, 1, 2, 8, 8)
    torch.testing.assert_close(forward(compiled=True)(windows), nn.functional.elu(windows))
