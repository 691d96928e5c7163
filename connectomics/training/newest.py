"""The newest whole checkpoint of an experiment, for a training that a scheduler starts again."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import torch

from connectomics.errors import CheckpointError
from connectomics.training.checkpoints import SETTINGS_KEY, is_finite, read_checkpoint
from connectomics.training.unfinished import owes_validation


class Newest(NamedTuple):
    """A checkpoint to go on from."""

    path: Path
    step: int
    is_done: bool
    """Whether nothing but further steps is left to do; False where the validation of its step is missing."""


def find_newest(experiment: Path, on_notice: Callable[[str], None]) -> Newest | None:
    """Find the checkpoint of the most steps among all runs of an experiment.

    What counts is the step that a checkpoint holds, not the time of the file. One that is damaged, or whose weights are
    not finite, gives way to the next.

    Args:
        experiment: Folder of the runs, such as `outputs/<experiment_name>`.
        on_notice: Told in a sentence of each checkpoint that cannot be gone on from.

    Returns:
        The checkpoint; None where there is none.
    """
    for step, is_done, _, path in sorted(_candidates(experiment, on_notice), reverse=True):
        try:
            if is_finite(read_checkpoint(path)):
                return Newest(path, step, is_done)
            on_notice(f"{path} holds weights that are not finite; looking for an earlier one")
        except CheckpointError as error:
            on_notice(f"{error}; looking for an earlier one")
    return None


def _candidates(experiment: Path, on_notice: Callable[[str], None]) -> Iterator[tuple[int, bool, bool, Path]]:
    """Yield step, whether it is validated, whether it is a `last.ckpt`, and path; the weights are not read yet."""
    for path in experiment.glob("*/checkpoints/*.ckpt"):
        try:
            found = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
            if isinstance(found, dict) and SETTINGS_KEY in found:
                yield int(found["global_step"]), not owes_validation(found), path.name == "last.ckpt", path
        except (pickle.UnpicklingError, RuntimeError, EOFError, OSError, LookupError, ValueError, TypeError):
            on_notice(f"{path} is damaged or not a checkpoint; looking for an earlier one")
