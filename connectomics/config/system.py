"""`system`: the machine and the seed."""

from dataclasses import dataclass


@dataclass(kw_only=True, slots=True)
class SystemConfig:
    """`system`: which devices a run takes, and what makes it repeatable."""

    num_gpus: int = -1
    """GPUs to use; -1 takes all there are, else the CPU; 0 is the CPU."""
    num_processes: int = 1
    """Processes that share the training when there is no GPU (gloo); GPUs have one process each."""
    num_workers: int = -1
    """Processes that cut and augment patches; -1 takes one per core (shared by the GPUs); 0 does it in the main one."""
    seed: int = 42
    """Every weight, patch and augmentation follows from it."""
