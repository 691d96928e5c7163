"""The pages that several files of tests look at, and screens of some size to look at them."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture(scope="session")
def report_page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a page of two volumes."""
    from connectomics.reports.page import ReportHead, write_report
    from tests.reports.corrupted import corrupted_phantom, scores_of
    from tests.reports.screens import SHAPE

    cases = [corrupted_phantom(SHAPE, seed=0, invented=6), corrupted_phantom((5, 64, 64), "im_B", seed=1)]
    path, volumes = tmp_path_factory.mktemp("page") / "report.html", [case.volume for case in cases]
    head, shapes = ReportHead("a test", {"step": "1"}, 0.5), [volume.image.shape for volume in volumes]
    write_report(path, head, scores_of(*cases), volumes, shapes)
    return path


@pytest.fixture(scope="session")
def tuning_page(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict]:
    """Return a page of a tuning, and the row that it shows as the best."""
    from tests.reports.tuned import write_tuning_page

    path = tmp_path_factory.mktemp("tune") / "tune.html"
    return path, write_tuning_page(path)


@pytest.fixture
def screen(program: Any) -> Iterator[Any]:
    """Return what opens pages on screens of some size; at the end none may have complained."""
    from tests.reports.screens import Screen

    one = Screen(program)
    yield one
    one.close()
