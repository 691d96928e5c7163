"""What worker processes hold of their own, as the kernel counts it."""

from itertools import islice
from pathlib import Path

import numpy as np
import pytest

from connectomics.data.augment import Augmentation
from connectomics.data.datasets import TrainingPatches
from connectomics.data.loader import EpochBatches, Progress, Share, TrainingLoader, loader_options
from connectomics.data.positions import find_positions
from connectomics.data.sampling import PatchSampler
from tests.data.conftest import cutter_of, in_memory

MIB = 2**20


def private_bytes(pid: int) -> int:
    """Memory that only this process holds."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return sum(1024 * int(line.split()[1]) for line in lines if line.startswith("Private_"))


@pytest.mark.skipif(not Path("/proc/self/smaps_rollup").exists(), reason="the kernel does not tell")
@pytest.mark.filterwarnings("ignore:This DataLoader will create:UserWarning")
def test_workers_share_the_volumes_that_are_in_memory() -> None:
    shape, patch = (24, 2048, 2048), (8, 64, 64)
    volume = in_memory(np.ones(shape, np.uint8), np.zeros(shape, np.uint8))
    positions = find_positions(volume.codes, patch, (0, 0, 0), "reflect", 0)
    patches = TrainingPatches(cutter_of(volume), PatchSampler([positions], 0.0), Augmentation(), patch, seed=0)
    batches = EpochBatches(400, Share(8), lambda: Progress(0, 0, 0))
    loader = iter(TrainingLoader(patches, batches, **loader_options(2, pin_memory=False)))
    seen = 0
    for batch in islice(loader, 200):
        seen += batch["image"].numel()
    assert seen > 0.5 * np.prod(shape)  # enough to have touched much of it
    held = [private_bytes(worker.pid) for worker in loader._workers]
    assert len(held) == 2
    assert max(held) < 96 * MIB  # image and codes are 192 MiB
