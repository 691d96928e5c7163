"""`system`: the machine and the seed."""

from dataclasses import dataclass


@dataclass(kw_only=True, slots=True)
class SystemConfig:
    """`system`: which devices a run takes, and what makes it repeatable."""

    num_gpus: int = -1
    """GPUs to use; -1 takes all there are, or the CPU if there are none; 0 takes the CPU."""
    num_processes: int = 1
    """Processes that share the training when there is no GPU (gloo); with GPUs there is one process each."""
    num_workers: int = -1
    """Processes that cut and augment patches; -1 takes one per core (shared among the GPUs), at most 16; 0 does the
    work in the main process."""
    seed: int = 42
    """Seed of every weight, patch and augmentation."""
