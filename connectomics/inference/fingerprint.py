"""What a prediction depends on; a different fingerprint means that another prediction would come out."""

from __future__ import annotations

import json
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

import connectomics
from connectomics.config import Config, as_plain
from connectomics.geometry import Box
from connectomics.volumes.intensity import IntensityRange
from connectomics.volumes.read import split_location
from connectomics.volumes.source import VolumeSource


def fingerprint(
    config: Config,
    weights: Mapping[str, Tensor],
    image: VolumeSource,
    intensity: IntensityRange,
    device: torch.device,
    part: Box | None = None,
) -> dict[str, str]:
    """Return what the prediction of one volume depends on, by name.

    Args:
        config: The settings.
        weights: The network's state, by name.
        image: What the network sees, from a file.
        intensity: Which of its grey values become 0 and 1.
        device: Where the network runs; another kind of device rounds differently.
        part: The box of the image that is predicted; None is all of it.
    """
    settings = as_plain(config)
    concerned = {
        "model": settings["model"],
        "border": settings["data"]["data_transform"],
        "inference": {**settings["inference"], "save_results": True},
    }
    model = torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
    return {
        "weights": _digest_of_weights(weights),
        "settings": sha256(json.dumps(concerned, sort_keys=True).encode()).hexdigest(),
        "image": _state_of(image, part or Box((0, 0, 0), image.shape)),
        "intensity": f"{intensity.low!r} to {intensity.high!r}{'' if intensity.clips else ', unchanged'}",
        "code": _digest_of_code(),
        "device": f"{model}, torch {torch.__version__}",
    }


def _digest_of_weights(weights: Mapping[str, Tensor]) -> str:
    digest = sha256()
    for name in sorted(weights):
        tensor = weights[name].detach().cpu().contiguous()
        digest.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def _state_of(image: VolumeSource, box: Box) -> str:
    """Return place, part, surroundings, size and time of change of the files that an image is read from."""
    path = split_location(image.info.location)[0]
    files = sorted(file for file in path.rglob("*") if file.is_file()) if path.is_dir() else [path]
    files += image.info.files
    digest = sha256()
    for file in files:
        state = file.stat()
        digest.update(f"{file.resolve()} {state.st_size} {state.st_mtime_ns}\n".encode())
    offset = tuple(float(o) for o in np.round(image.info.offset_nm, 3))
    part = f"{box.start} to {box.stop} of {image.shape} at {offset} nm"
    return f"{image.info.location}, {part}, {digest.hexdigest()}"


def _digest_of_code() -> str:
    root = Path(connectomics.__file__).parent
    digest = sha256()
    for file in sorted(root.rglob("*.py")):
        digest.update(f"{file.relative_to(root).as_posix()}\n".encode())
        digest.update(file.read_bytes())
    return digest.hexdigest()
