import os
import subprocess
import sys
from pathlib import Path

import pytest

from connectomics.errors import UserError, VolumeError
from connectomics.files import write_bytes, write_text, write_whole

WRITES_AND_DIES = """
import os, sys
from pathlib import Path
from connectomics.files import write_whole
with write_whole(Path(sys.argv[1])) as partial:
    partial.write_text("half")
    os.kill(os.getpid(), 9)
"""


def write_half(target: Path, error: BaseException) -> None:
    with write_whole(target, VolumeError, "; go on later") as partial:
        partial.write_text("half")
        raise error


def test_a_file_is_there_when_it_is_whole_and_not_before(tmp_path: Path) -> None:
    target = tmp_path / "new" / "a.txt"
    with write_whole(target) as partial:
        partial.write_text("all of it")
        assert not target.exists()
    assert target.read_text() == "all of it"
    assert os.listdir(target.parent) == ["a.txt"]


def test_an_exception_keeps_the_former_file_and_leaves_nothing(tmp_path: Path) -> None:
    target = tmp_path / "a.txt"
    write_text(target, "former")
    with pytest.raises(KeyboardInterrupt):
        write_half(target, KeyboardInterrupt())
    assert target.read_text() == "former"
    assert os.listdir(tmp_path) == ["a.txt"]


def test_a_folder_takes_the_place_of_another(tmp_path: Path) -> None:
    target = tmp_path / "store"
    for content in ("first", "second"):
        with write_whole(target) as partial:
            (partial / "inner").mkdir(parents=True)
            (partial / "inner" / content).write_text(content)
    assert [path.name for path in target.rglob("*") if path.is_file()] == ["second"]
    assert os.listdir(tmp_path) == ["store"]


def test_what_a_killed_process_left_is_removed_by_the_next_one(tmp_path: Path) -> None:
    target = tmp_path / "a.txt"
    killed = subprocess.run([sys.executable, "-c", WRITES_AND_DIES, str(target)], check=False)
    assert killed.returncode == -9
    assert len(os.listdir(tmp_path)) == 1
    assert not target.exists()
    write_bytes(target, b"whole")
    assert os.listdir(tmp_path) == ["a.txt"]


def test_a_disk_that_takes_no_more_is_the_users_error_of_the_wanted_type(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="cannot be written"):
        write_text(tmp_path / "file" / "below_a_file.txt", "x")
    with pytest.raises(VolumeError, match="No space left on device; go on later"):
        write_half(tmp_path / "full", OSError(28, "No space left on device"))
    assert os.listdir(tmp_path) == ["file"]
