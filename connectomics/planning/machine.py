"""The machine that a training is planned for."""

from __future__ import annotations

import os
from dataclasses import dataclass

GIB = 2**30


@dataclass(frozen=True, slots=True)
class Machine:
    """What there is to train with."""

    cores: int
    memory_gib: float
    """Memory of the machine, or what its container may use."""
    gpus: tuple[tuple[str, float], ...] = ()
    """Name and memory, in GiB, of each GPU."""

    @property
    def has_gpu(self) -> bool:
        """Whether a GPU does the work."""
        return bool(self.gpus)

    @property
    def gpu_gib(self) -> float:
        """Memory of the smallest GPU."""
        return min(memory for _, memory in self.gpus)

    def __str__(self) -> str:
        """Name it as a person would."""
        host = f"{self.cores} core{'s' * (self.cores != 1)}, {self.memory_gib:.0f} GiB of memory"
        if not self.gpus:
            return f"{host}, no GPU"
        return f"{len(self.gpus)} x {self.gpus[0][0]} ({self.gpu_gib:.0f} GiB), {host}"


def host_memory_gib() -> float:
    """Return the memory of this machine, or of the container (cgroup) where that is less, in GiB."""
    most = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    for limit in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        try:
            with open(limit, encoding="ascii") as file:
                text = file.read().strip()
        except OSError:
            continue
        if text.isdigit():
            most = min(most, int(text))
    return most / GIB
