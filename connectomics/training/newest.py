"""The newest whole checkpoint of an experiment, for a training that a scheduler starts again."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterator
from pathlib import Path

import torch

from connectomics.errors import CheckpointError
from connectomics.training.checkpoints import SETTINGS_KEY, is_finite, read_checkpoint


def find_newest(experiment: Path, on_notice: Callable[[str], None]) -> tuple[Path, int] | None:
    """Find the checkpoint of the most steps among all runs of an experiment.

    What counts is the step that a checkpoint holds, not the time of the file. One that is damaged, or whose weights are
    not finite, gives way to the next.

    Args:
        experiment: Folder of the runs, such as `outputs/<experiment_name>`.
        on_notice: Told in a sentence of each checkpoint that cannot be gone on from.

    Returns:
        The checkpoint and its step; None where there is none.
    """
    for step, _, path in sorted(_candidates(experiment, on_notice), reverse=True):
        try:
            if is_finite(read_checkpoint(path)):
                return path, step
            on_notice(f"{path} holds weights that are not finite; looking for an earlier one")
        except CheckpointError as error:
            on_notice(f"{error}; looking for an earlier one")
    return None


def _candidates(experiment: Path, on_notice: Callable[[str], None]) -> Iterator[tuple[int, bool, Path]]:
    """Yield step, whether it is a `last.ckpt`, and path of what reads as a checkpoint; its weights are not read yet."""
    for path in experiment.glob("*/checkpoints/*.ckpt"):
        try:
            found = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
            if isinstance(found, dict) and SETTINGS_KEY in found:
                yield int(found["global_step"]), path.name == "last.ckpt", path
        except (pickle.UnpicklingError, RuntimeError, EOFError, OSError, LookupError, ValueError, TypeError):
            on_notice(f"{path} is damaged or not a checkpoint; looking for an earlier one")
