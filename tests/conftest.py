"""Small arrays gain nothing from several threads, and tests that run side by side would fight for the cores."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

from pathlib import Path

import pytest

from tests.small_run import write_settings


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """Return a file of settings with its volumes beside it; runs go to `tmp_path/runs`."""
    return write_settings(tmp_path)
