"""Small arrays gain nothing from several threads, and tests that run side by side would fight for the cores."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.small_run import write_settings


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """Return a file of settings with its volumes beside it; runs go to `tmp_path/runs`."""
    return write_settings(tmp_path)


@pytest.fixture(scope="session")
def program() -> Iterator[Any]:
    """Return a browser; tests that want one are skipped where none is installed."""
    from tests.browser import find_browser, started

    path = find_browser()
    if path is None:
        pytest.skip("no Chromium or Chrome is installed; Debian: chromium")
    with started(path) as browser:
        yield browser
