"""A trained network on the devices of a run, as a plain function."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import nullcontext
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import torch
from torch import Tensor, nn
from torch._dynamo.exc import TorchDynamoException

from connectomics.config.inference import InferenceConfig
from connectomics.config.model import ModelConfig
from connectomics.config.system import SystemConfig
from connectomics.inference import Forward, Lane
from connectomics.inference.memory import shortage_told
from connectomics.models import build_model
from connectomics.models.build import choose_memory_format
from connectomics.models.fold import fold_batch_norm
from connectomics.screen.console import say
from connectomics.training.checkpoints import load_weights, network_weights
from connectomics.training.devices import begin_on, cannot_compile, choose_devices, require_precision

AUTOCAST: Mapping[str, torch.dtype] = {"bf16-mixed": torch.bfloat16, "16-mixed": torch.float16}
"""`inference.precision` to the type of the arithmetic; float32 needs no entry."""


@dataclass(frozen=True, slots=True)
class TrainedNetwork:
    """A network with its weights, once on each device."""

    lanes: tuple[Lane, ...]
    weights: Mapping[str, Tensor]

    @property
    def devices(self) -> str:
        """The devices, as a person would name them."""
        return f"{len(self.lanes)} x {self.lanes[0].device.type}"


def load_network(
    network: ModelConfig, inference: InferenceConfig, system: SystemConfig, checkpoint: Mapping[str, Any], path: Path
) -> TrainedNetwork:
    """Build the network of the settings with the weights of a checkpoint, on every device of the run.

    Args:
        network: Which network.
        inference: Which of its weights, and how exactly they are applied.
        system: The devices.
        checkpoint: The checkpoint, as read.
        path: Path of the checkpoint, for messages.

    Raises:
        CheckpointError: If the weights are not the network's.
        DeviceError: If there are fewer GPUs than the settings ask for.
    """
    weights = network_weights(checkpoint, path, inference.use_ema)
    model = build_model(network)
    load_weights(model, weights, path)
    devices = choose_devices(system)
    folded, form = fold_batch_norm(model), choose_memory_format(network, devices.accelerator == "gpu")
    require_precision(devices, inference.precision, "inference.precision")
    if remark := begin_on(devices, inference.precision):
        say(remark)
    count = devices.count if devices.accelerator == "gpu" else 1
    places = [torch.device("cuda", i) for i in range(count)] if devices.accelerator == "gpu" else [torch.device("cpu")]
    with shortage_told("the device has too little memory for the weights alone; free it, or set system.num_gpus=0"):
        forwards = [forward_on(place, folded, form, inference.precision, inference.compile) for place in places]
    lanes = [Lane(forward, place) for forward, place in zip(forwards, places, strict=True)]
    return TrainedNetwork(tuple(lanes), weights)


def forward_on(
    device: torch.device, model: nn.Module, memory_format: torch.memory_format, precision: str, compiled: bool
) -> Forward:
    """Return a copy of a network on a device, as a function from windows in [0, 1] to float32 logits.

    Args:
        device: Where the network runs.
        model: The network, in evaluation mode.
        memory_format: Memory format of the weights and of the windows.
        precision: Precision of the arithmetic: "32-true", or one of `AUTOCAST`.
        compiled: Whether `torch.compile` fuses it when the first windows come.
    """
    # torch's overloads of `to` lack the memory format
    placed: nn.Module = deepcopy(model).to(device, memory_format=memory_format)  # type: ignore[call-overload]
    if compiled:
        placed = _Compiled(placed)
    dtype = AUTOCAST.get(precision)

    @torch.inference_mode()
    def forward(windows: Tensor) -> Tensor:
        with torch.autocast(device.type, dtype) if dtype is not None else nullcontext():
            return placed(windows.contiguous(memory_format=memory_format)).float()

    return forward


@final
class _Compiled(nn.Module):
    """A network that `torch.compile` fuses when the first windows come."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self._network = torch.compile(network)

    def forward(self, windows: Tensor) -> Tensor:
        """Map windows to logits, as the network does.

        Raises:
            DeviceError: If this machine cannot compile it.
        """
        try:
            return self._network(windows)
        except TorchDynamoException as error:
            raise cannot_compile("inference.compile", error) from error
