from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from connectomics.errors import UserError
from connectomics.runs import folder
from connectomics.runs.folder import new_run


def test_runs_that_begin_in_the_same_moment_never_share_a_folder(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv(folder.RUN_VARIABLE, "")
    monkeypatch.setattr(folder, "_stamp", lambda: "20260101_000000")
    with ThreadPoolExecutor(16) as pool:
        roots = list(pool.map(lambda _: new_run(str(tmp_path)).root, range(200)))
    assert len(set(roots)) == 200
    assert all(root.is_dir() for root in roots)


def test_a_place_where_no_run_can_begin_is_told(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv(folder.RUN_VARIABLE, "")
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=r"save_path: .* cannot be written"):
        new_run(str(tmp_path / "file"))
