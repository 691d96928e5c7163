from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from connectomics.inference import memory

STATUS = Path("/proc/self/status")


def resident() -> int:
    """Return the bytes that this process holds."""
    line = next(line for line in STATUS.read_text(encoding="utf-8").splitlines() if line.startswith("VmRSS:"))
    return int(line.split()[1]) * 1024


@pytest.mark.skipif(memory._trim() is None or not STATUS.exists(), reason="another C library keeps no freed memory")
def test_freed_memory_goes_back_to_the_system() -> None:
    blocks = [np.ones(8192) for _ in range(2000)]  # 131 MB in blocks that the C library keeps
    last = np.ones(8192)  # lies behind them, so that they cannot be given back by themselves
    full = resident()
    del blocks
    memory.give_back_memory()
    assert resident() < full - 100_000_000
    assert last.sum() == 8192


def test_a_system_without_the_call_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "_trim", lambda: None)
    memory.give_back_memory()
