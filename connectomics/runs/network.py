"""A trained network on the devices of a run, as a plain function."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from copy import deepcopy
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, final

import torch
from torch import Tensor, nn
from torch._dynamo.exc import TorchDynamoException

from connectomics.config.inference import InferenceConfig
from connectomics.config.model import ModelConfig
from connectomics.config.system import SystemConfig
from connectomics.inference import Forward, InferencePlan, Lane
from connectomics.inference.activations import ChannelActivations, build_activations
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
class Member:
    """A checkpoint that was read: one of the networks that predict together, or the only one."""

    path: Path
    checkpoint: Mapping[str, Any]

    @property
    def step(self) -> int:
        """How long it was trained."""
        return int(self.checkpoint["global_step"])


@dataclass(frozen=True, slots=True)
class TrainedNetwork:
    """A network with its weights, or several, once on each device."""

    lanes: tuple[Lane, ...]
    weights: Mapping[str, Tensor]
    """All weights, by name; those of several networks, by their number and name."""
    is_ensemble: bool = False
    """Whether it is several networks, which give the mean of their probabilities in place of logits."""

    def follow(self, plan: InferencePlan) -> InferencePlan:
        """Return how the network predicts by a plan that was made for a single one."""
        return replace(plan, activations=plan.activations.applied()) if self.is_ensemble else plan

    @property
    def devices(self) -> str:
        """The devices, as a person would name them."""
        return f"{len(self.lanes)} x {self.lanes[0].device.type}"


def load_network(
    network: ModelConfig, inference: InferenceConfig, system: SystemConfig, members: Sequence[Member]
) -> TrainedNetwork:
    """Build the network of the settings with the weights of one or several checkpoints, on every device of the run.

    Args:
        network: Which network.
        inference: Which of its weights, and how exactly they are applied.
        system: The devices.
        members: The checkpoints; the probabilities of several are averaged.

    Raises:
        CheckpointError: If the weights are not the network's.
        DeviceError: If there are fewer GPUs than the settings ask for.
    """
    states = [network_weights(one.checkpoint, one.path, inference.use_ema) for one in members]
    models = [_with_weights(network, state, one.path) for state, one in zip(states, members, strict=True)]
    activations = build_activations(inference.model.channel_activations, network.out_channels)
    devices = choose_devices(system)
    form = choose_memory_format(network, devices.accelerator == "gpu")
    require_precision(devices, inference.precision, "inference.precision")
    if remark := begin_on(devices, inference.precision):
        say(remark)
    count = devices.count if devices.accelerator == "gpu" else 1
    places = [torch.device("cuda", i) for i in range(count)] if devices.accelerator == "gpu" else [torch.device("cpu")]
    with shortage_told("the device has too little memory for the weights alone; free it, or set system.num_gpus=0"):
        forwards = [
            [forward_on(place, model, form, inference.precision, inference.compile) for model in models]
            for place in places
        ]
    if len(members) == 1:
        alone = [Lane(own, place) for (own,), place in zip(forwards, places, strict=True)]
        return TrainedNetwork(tuple(alone), states[0])
    lanes = [Lane(mean_of(each, activations), place) for each, place in zip(forwards, places, strict=True)]
    weights = {f"{i}.{name}": tensor for i, state in enumerate(states) for name, tensor in state.items()}
    return TrainedNetwork(tuple(lanes), weights, is_ensemble=True)


def _with_weights(network: ModelConfig, weights: Mapping[str, Tensor], path: Path) -> nn.Module:
    """Return the network with some weights, made fast for evaluation."""
    model = build_model(network)
    load_weights(model, weights, path)
    return fold_batch_norm(model)


def weights_in_words(network: TrainedNetwork, use_ema: bool, step: int | list[int]) -> str:
    """Say which weights predict, and where."""
    kind = "averaged (EMA)" if use_ema else "latest"
    if not isinstance(step, list):
        return f"on {network.devices} with the {kind} weights of step {step}"
    steps = ", ".join(str(one) for one in step)
    return f"on {network.devices} with {len(step)} networks, the {kind} weights of steps {steps}"


def mean_of(forwards: Sequence[Forward], activations: ChannelActivations) -> Forward:
    """Return the mean of what several networks give, as a function from windows to probabilities."""

    @torch.inference_mode()
    def forward(windows: Tensor) -> Tensor:
        mean = activations(forwards[0](windows))
        for count, one in enumerate(forwards[1:], start=2):
            mean = mean + (activations(one(windows)) - mean) / count  # equal ones stay as they are, to the last bit
        return mean

    return forward


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
