"""Checkpoints: written so that a kill leaves the old one whole, and read with a clear word when they do not fit."""

from __future__ import annotations

import pickle
import shutil
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any, final
from zipfile import BadZipFile, ZipFile

import torch
from pytorch_lightning.plugins.io import TorchCheckpointIO
from torch import Tensor, nn

from connectomics.config import Config, as_plain
from connectomics.errors import CheckpointError
from connectomics.files import flush, write_whole
from connectomics.lookup import suggest
from connectomics.models import shaping_settings

SETTINGS_KEY = "settings"
EMA_KEY = "ema"
LEARNT_AT_KEY = "learnt_at_nm"
MODEL_PREFIX = "model."


@final
class AtomicCheckpointIO(TorchCheckpointIO):
    """Writes beside the target, reads back and compares, flushes to the disk, then renames."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any | None = None) -> None:
        """Write a checkpoint; until it is whole and has been read back, a former file of that name stays as it is."""
        with write_whole(Path(path), CheckpointError) as partial:
            with partial.open("wb") as file:
                _save(checkpoint, file, path)
            flush(partial)
            if (reason := find_damage(partial)) is not None:
                raise CheckpointError(
                    f"{path} was written, but what the disk gives back is something else ({reason}); "
                    "the former file of that name is kept"
                )


def _save(checkpoint: Mapping[str, Any], file: IO[bytes], path: str | Path) -> None:
    """Write a checkpoint; where the disk takes no more, torch says so in words of its own."""
    try:
        torch.save(checkpoint, file)
    except RuntimeError as error:
        if "inline_container" not in str(error) and "PytorchStreamWriter" not in str(error):
            raise
        free = shutil.disk_usage(Path(path).parent).free / 1e9
        raise CheckpointError(
            f"{path} cannot be written: the disk takes no more ({free:.1f} GB are free there); the former file of that "
            "name is kept"
        ) from error


def find_damage(path: Path) -> str | None:
    """Compare each part of a checkpoint with the checksum beside it (CRC-32), and return what does not fit."""
    try:
        with ZipFile(path) as archive:
            part = archive.testzip()
    except (BadZipFile, zlib.error, EOFError, OSError, NotImplementedError, RuntimeError, ValueError) as error:
        return str(error).splitlines()[0] if str(error) else type(error).__name__
    return None if part is None else f"the checksum of {part} is wrong"


def read_checkpoint(path: Path) -> dict[str, Any]:
    """Read a checkpoint of this package, onto the CPU.

    Raises:
        CheckpointError: If the file is missing, damaged, or not a checkpoint of this package.
    """
    if not path.is_file():
        siblings = [p.name for p in path.parent.glob("*.ckpt")] if path.parent.is_dir() else []
        raise CheckpointError(f"--checkpoint {path}: no such file{suggest(path.name, siblings)}")
    if (damage := find_damage(path)) is not None:
        raise CheckpointError(f"--checkpoint {path} is damaged or not a checkpoint: {damage}")
    checkpoint = load_plain(path, f"--checkpoint {path} is damaged or not a checkpoint")
    if not isinstance(checkpoint, dict) or SETTINGS_KEY not in checkpoint or "state_dict" not in checkpoint:
        raise CheckpointError(f"--checkpoint {path} was not written by this package: it lacks its settings")
    return checkpoint


def load_plain(path: Path, complaint: str) -> Any:
    """Return what `torch.save` wrote, on the CPU; nothing in the file is executed.

    Raises:
        CheckpointError: With the complaint and the reason, if it cannot be read, or holds more than plain values.
    """
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, OSError, LookupError, ValueError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise CheckpointError(f"{complaint}: {reason}") from error


def read_settings(path: Path) -> dict[str, Any]:
    """Return the settings that a network was trained with, as plain values; errors are those of `read_checkpoint`."""
    settings: dict[str, Any] = read_checkpoint(path)[SETTINGS_KEY]
    return settings


def is_finite(checkpoint: Mapping[str, Any]) -> bool:
    """Return whether weights, their average and the optimizer's memory are finite; a device is asked once."""
    memory = [state for optimizer in checkpoint.get("optimizer_states", []) for state in optimizer["state"].values()]
    parts = [checkpoint["state_dict"], checkpoint.get(EMA_KEY, {}).get("weights", {}), *memory]
    tensors = [t for part in parts for t in part.values() if isinstance(t, Tensor) and t.is_floating_point()]
    found = [tensor.isfinite().all() for tensor in tensors if tensor.numel() > 0]
    devices = {flag.device for flag in found}
    return all(bool(torch.stack([f for f in found if f.device == device]).all()) for device in devices)


def network_weights(checkpoint: Mapping[str, Any], path: Path, use_ema: bool) -> dict[str, Tensor]:
    """Return the weights of the network alone, averaged (EMA) or as they were at the last step.

    Raises:
        CheckpointError: If the average is wanted and the checkpoint has none.
    """
    if use_ema:
        if EMA_KEY not in checkpoint:
            raise CheckpointError(
                f"--checkpoint {path} holds no averaged weights (it was trained with optimization.ema.enabled=false); "
                "set inference.use_ema=false"
            )
        return dict(checkpoint[EMA_KEY]["weights"])
    weights = checkpoint["state_dict"]
    return {name[len(MODEL_PREFIX) :]: w for name, w in weights.items() if name.startswith(MODEL_PREFIX)}


def require_same_model(checkpoint: Mapping[str, Any], settings: Mapping[str, Any], path: Path) -> None:
    """Refuse a checkpoint whose network was built from other settings.

    A setting that the checkpoint does not know, being older, had its default.

    Args:
        checkpoint: As read.
        settings: The plain settings of this run.
        path: For the message.

    Raises:
        CheckpointError: If a setting that shapes the network differs; the message names it and both values.
    """
    default, trained, wanted = (
        shaping_settings(tree["model"]) for tree in (as_plain(Config()), checkpoint[SETTINGS_KEY], settings)
    )
    for key, value in wanted.items():
        if (before := trained.get(key, default.get(key))) != value:
            raise CheckpointError(
                f"--checkpoint {path} was trained with model.{key}={before}, the settings say {value}; "
                "use the settings of its run"
            )


def load_weights(model: nn.Module, weights: Mapping[str, Tensor], path: Path) -> None:
    """Put weights into a network.

    Raises:
        CheckpointError: If they are not the network's.
    """
    try:
        model.load_state_dict(weights)
    except RuntimeError as error:
        reason = " ".join(str(error).split())[:300]
        raise CheckpointError(f"--checkpoint {path} does not fit the network of the settings: {reason}") from error
