"""What a prediction depends on; a different fingerprint means that another prediction would come out."""

from __future__ import annotations

import json
from collections.abc import Mapping
from hashlib import sha256
from typing import Any

import numpy as np
import torch
from torch import Tensor

import connectomics
from connectomics.config import as_plain
from connectomics.config.data import DataTransformConfig
from connectomics.config.inference import InferenceConfig
from connectomics.geometry import Box
from connectomics.volumes.intensity import IntensityRange
from connectomics.volumes.source import VolumeSource
from connectomics.volumes.state import state_of_files

PREDICTION_VERSION = 1
"""Version of the code that predicts. It is raised by hand when the same weights, settings and image give other numbers;
a test compares it with those of a small prediction."""

NO_DIFFERENCE = ("save_results", "save_backend", "save_dtype", "compile", "use_ema", "block_size", "block_depth")
"""Settings of `inference` that change no number, or that the weights and the file's layout already state."""


def concerning(inference: InferenceConfig, border: DataTransformConfig, network: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings that a prediction depends on, as plain values.

    Args:
        inference: How windows are cut, viewed and blended.
        border: How the volume goes on beyond its border.
        network: The settings that shape the network, by key.
    """
    plain = {name: value for name, value in as_plain(inference).items() if name not in NO_DIFFERENCE}
    plain["window"] = {name: value for name, value in plain["window"].items() if name != "sw_batch_size"}
    return {"network": dict(network), "border": as_plain(border), "inference": plain}


def fingerprint(
    settings: Mapping[str, Any],
    weights: Mapping[str, Tensor],
    image: VolumeSource,
    intensity: IntensityRange,
    part: Box | None = None,
) -> dict[str, str]:
    """Return what the prediction of one volume depends on, by name.

    It tells the content, not the place: a folder that was moved, another machine or another batch size change nothing.

    Args:
        settings: What `concerning` returned.
        weights: The network's state, by name.
        image: What the network sees, from a file.
        intensity: Which of its grey values become 0 and 1.
        part: The box of the image that is predicted; None is all of it.
    """
    box = part or Box.whole(image.shape)
    offset = tuple(float(o) for o in np.round(image.info.offset_nm, 3))
    return {
        "weights": _digest_of_weights(weights),
        "settings": sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest(),
        "image": f"{state_of_files(image)}, {box.start} to {box.stop} of {image.shape} at {offset} nm",
        "intensity": f"{intensity.low!r} to {intensity.high!r}{'' if intensity.clips else ', unchanged'}",
        "version": str(PREDICTION_VERSION),
    }


def circumstances(device: torch.device, batch: int, compiled: bool) -> dict[str, str]:
    """Return what a prediction was made with that changes it by rounding at most, by name; recorded beside it."""
    model = torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
    return {
        "device": model,
        "torch": str(torch.__version__),
        "connectomics": connectomics.__version__,
        "sw_batch_size": str(batch),
        "compile": str(compiled).lower(),
    }


def _digest_of_weights(weights: Mapping[str, Tensor]) -> str:
    digest = sha256()
    for name in sorted(weights):
        tensor = weights[name].detach().cpu().contiguous()
        digest.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()
