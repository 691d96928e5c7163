"""Weights in a file: a checkpoint of this program, an exported network, or a state dict of any origin."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zipfile import is_zipfile

import safetensors.torch
from safetensors import SafetensorError
from torch import Tensor

from connectomics.errors import CheckpointError
from connectomics.training.checkpoints import EMA_KEY, SETTINGS_KEY, find_damage, load_plain, network_weights

KEY = "model.weights.file"
EXPORTED = "model.safetensors"


@dataclass(frozen=True, slots=True)
class SavedWeights:
    """What a file holds of a network."""

    weights: Mapping[str, Tensor]
    model: Mapping[str, Any] | None
    """The section `model` of the settings that the network was built from; None if the file does not say."""
    kind: str
    """Which weights they are, in words."""


def read_weights(path: Path, prefix: str) -> SavedWeights:
    """Read the weights of a network, onto the CPU; nothing in the file is executed.

    Args:
        path: A checkpoint, a state dict of `torch.save`, a .safetensors file, or a folder that holds an export.
        prefix: What stands before the names of the network's own weights in a file of other origin.

    Raises:
        CheckpointError: If there is no such file, or it holds no weights, or none that begin with `prefix`.
    """
    if path.is_dir() or path.suffix == ".safetensors":
        return _read_safetensors(path / EXPORTED if path.is_dir() else path, prefix)
    if not path.is_file():
        raise CheckpointError(f"{KEY} is {path}; there is no such file")
    if is_zipfile(path) and (damage := find_damage(path)) is not None:
        raise CheckpointError(f"{KEY} is {path}, which is damaged: {damage}")
    found = load_plain(path, f"{KEY} is {path}, which holds no weights")
    if isinstance(found, dict) and SETTINGS_KEY in found and "state_dict" in found:
        averaged = EMA_KEY in found
        kind = f"{'averaged (EMA)' if averaged else 'latest'} weights of step {found['global_step']}"
        return SavedWeights(network_weights(found, path, averaged), found[SETTINGS_KEY]["model"], kind)
    state = found.get("state_dict", found) if isinstance(found, dict) else None
    if not isinstance(state, dict) or not state or not all(isinstance(tensor, Tensor) for tensor in state.values()):
        raise CheckpointError(f"{KEY} is {path}, which is neither a checkpoint nor a state dict, names with tensors")
    return SavedWeights(_after(prefix, state, path), None, "weights")


def _read_safetensors(path: Path, prefix: str) -> SavedWeights:
    settings = path.with_name("model.json")
    try:
        weights = safetensors.torch.load_file(path)
        exported = path.name == EXPORTED and settings.is_file()
        model = _settings_beside(settings) if exported else None
    except (OSError, ValueError, LookupError, SafetensorError) as error:
        raise CheckpointError(f"{KEY} is {path}, which holds no weights: {error}") from error
    return SavedWeights(weights if exported else _after(prefix, weights, path), model, "weights")


def _settings_beside(path: Path) -> dict[str, Any]:
    """Return the section `model` of an export.

    Raises:
        ValueError: If there is none.
    """
    found = json.loads(path.read_text(encoding="utf-8"))
    model = found.get("model") if isinstance(found, dict) else None
    if not isinstance(model, dict) or not isinstance(model.get("arch"), dict) or "type" not in model["arch"]:
        raise ValueError(f"{path.name} beside it does not say which network it is")
    return model


def _after(prefix: str, weights: Mapping[str, Tensor], path: Path) -> dict[str, Tensor]:
    """Return the weights whose names begin with a prefix, without it."""
    found = {name.removeprefix(prefix): tensor for name, tensor in weights.items() if name.startswith(prefix)}
    if not found:
        first = next(iter(weights))
        raise CheckpointError(
            f"model.weights.prefix is {prefix!r}, but no name in {path} begins with it; the first one is {first!r}"
        )
    return found
