"""A trained network as two files that anything can read: weights in safetensors, settings in JSON."""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor, nn

from connectomics.config.convert import Origins, convert
from connectomics.config.model import ModelConfig
from connectomics.errors import CheckpointError
from connectomics.files import write_bytes, write_text, write_whole
from connectomics.geometry import ZYX
from connectomics.models.build import build_model


def export_model(folder: Path, weights: Mapping[str, Tensor], config: ModelConfig, extra: Mapping[str, Any]) -> Path:
    """Write `model.safetensors` and `model.json` into `folder`, and return it.

    Args:
        folder: Made when missing.
        weights: The network's state, by name.
        config: The settings that build the network.
        extra: What a user must know to apply it: patch size, voxel size, scaling of the image.
    """
    plain = {name: tensor.detach().cpu().contiguous() for name, tensor in weights.items()}
    write_bytes(folder / "model.safetensors", safetensors.torch.save(plain))
    text = json.dumps({"model": asdict(config), **extra}, indent=2)
    write_text(folder / "model.json", text + "\n")
    return folder


def export_program(folder: Path, window: ZYX) -> Path:
    """Write `model.pt2` beside an exported network: the whole of it, as `torch.export` does; return the file.

    It maps windows (B, C, Z, Y, X), any number of them, grey values in [0, 1], to logits.

    Args:
        folder: What `export_model` wrote.
        window: Extent (z, y, x) of the windows.
    """
    model = load_exported(folder)
    channels = next(p.shape[1] for p in model.parameters() if p.ndim == 5)
    example = torch.zeros(2, channels, *window)
    program = torch.export.export(model, (example,), dynamic_shapes=({0: torch.export.Dim("batch", min=1)},))
    with write_whole(folder / "model.pt2") as partial, warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="No complete tensor found in the group")  # those are on the CPU here
        torch.export.save(program, partial.with_suffix(".pt2"))
        partial.with_suffix(".pt2").rename(partial)
    return folder / "model.pt2"


def load_exported(folder: Path) -> nn.Module:
    """Rebuild an exported network, in evaluation mode.

    Raises:
        CheckpointError: If the folder does not hold an export.
    """
    try:
        settings = json.loads((folder / "model.json").read_text(encoding="utf-8"))
        weights = safetensors.torch.load_file(folder / "model.safetensors")
    except (OSError, ValueError, SafetensorError) as error:
        raise CheckpointError(f"{folder} does not hold an exported network: {error}") from error
    model = build_model(convert(ModelConfig, settings["model"], "model", Origins(str(folder / "model.json"))))
    model.load_state_dict(weights)
    return model.eval()
