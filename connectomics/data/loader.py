"""Batches of random patches: which ones come next, also after a resume."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple, TypedDict, Unpack, final

import cv2
from torch.utils.data import DataLoader, Dataset, Sampler

from connectomics.data.datasets import Sample
from connectomics.stopping import LISTENED_TO


class Progress(NamedTuple):
    """How many batches a rank has trained on."""

    total: int
    """Batches since the start of the training."""
    this_epoch: int
    """Batches since the start of the epoch."""
    completed: int
    """Batches since the start of the epoch whose hooks are done: a checkpoint from such a hook does not count its batch
    yet."""


@dataclass(frozen=True, slots=True)
class Share:
    """The part of every batch that one process takes."""

    batch_size: int
    """Patches in a batch of one rank."""
    rank: int = 0
    world_size: int = 1


@final
class EpochBatches(Sampler[list[int]]):
    """Numbers of the patches of each batch of an epoch.

    With batch b, rank r of R and B patches in a batch, patch i has the number (b R + r) B + i: no two ranks share one,
    and none comes twice. Iterating starts behind what has been trained on, not behind what has been fetched in
    advance; in the middle of an epoch, the rest of it follows.
    """

    def __init__(self, batches_per_epoch: int, share: Share, progress: Callable[[], Progress]) -> None:
        self._batches_per_epoch, self._share, self._progress = batches_per_epoch, share, progress
        self._resumed_at = (0, 0)

    def __len__(self) -> int:
        return self._batches_per_epoch

    def __iter__(self) -> Iterator[list[int]]:
        progress, (size, rank, world_size) = self._progress(), self._shares
        first = self._consumed(progress)
        length = self._batches_per_epoch
        # Resumed at the end of an epoch, Lightning first asks for what is left of it: nothing. When the checkpoint is
        # from a hook of the last batch, it goes straight to the next epoch.
        rest = 0 if progress.completed == length else length - progress.this_epoch % length
        starts = (first + (batch * world_size + rank) * size for batch in range(rest))
        return (list(range(start, start + size)) for start in starts)

    def state_dict(self, but: int = 0) -> dict[str, int]:
        """Return how many batches, and patches of all ranks, have been trained on, `but` for the last ones."""
        progress = self._progress()
        progress = progress._replace(total=progress.total - but)
        return {"batches": progress.total, "patches": self._consumed(progress)}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Go on behind the patches that were trained on, also with another batch size or number of ranks."""
        self._resumed_at = (state["batches"], state["patches"])

    @property
    def _shares(self) -> tuple[int, int, int]:
        return self._share.batch_size, self._share.rank, self._share.world_size

    def _consumed(self, progress: Progress) -> int:
        batches, patches = self._resumed_at
        return patches + (progress.total - batches) * self._share.world_size * self._share.batch_size


class LoaderOptions(TypedDict, total=False):
    """How a DataLoader runs its workers, by its own words."""

    num_workers: int
    pin_memory: bool
    persistent_workers: bool
    multiprocessing_context: str
    worker_init_fn: Callable[[int], None]


@final
class TrainingLoader(DataLoader[Sample]):
    """A loader whose place in the training is kept in the checkpoint: Lightning saves and restores it."""

    def __init__(self, patches: Dataset[Sample], batches: EpochBatches, **options: Unpack[LoaderOptions]) -> None:
        super().__init__(patches, batch_sampler=batches, **options)
        self._batches = batches

    def state_dict(self) -> dict[str, int]:
        """Return the place of the next batch."""
        return self._batches.state_dict()

    def state_before(self, batches: int) -> dict[str, int]:
        """Return the place before the last batches."""
        return self._batches.state_dict(but=batches)

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Go on at a place."""
        self._batches.load_state_dict(state)


def loader_options(num_workers: int, pin_memory: bool) -> LoaderOptions:
    """Return how a loader runs its workers; forked, they share the volumes that are in memory.

    This process gives up OpenCV's threads before it forks: a worker would inherit their locks without the threads, and
    wait for them for ever. So a worker keeps to one core, as torch makes sure for itself.
    """
    options: LoaderOptions = {"num_workers": num_workers, "pin_memory": pin_memory}
    if num_workers > 0:
        cv2.setNumThreads(1)
        options |= {"persistent_workers": True, "multiprocessing_context": "fork", "worker_init_fn": leave_signals}
    return options


def leave_signals(_worker: int) -> None:
    """Let the main process alone answer what asks to stop, which reaches the workers too: it still needs a batch."""
    for signum in LISTENED_TO:
        signal.signal(signum, signal.SIG_IGN)
