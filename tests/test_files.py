import os
import subprocess
import sys
from pathlib import Path

import pytest

from connectomics import files
from connectomics.errors import UserError, VolumeError
from connectomics.files import hold, write_bytes, write_text, write_whole

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


HOLDS = """
import sys, time
from pathlib import Path
from connectomics.files import hold
with hold(Path(sys.argv[1]), "im_A"):
    print("held", flush=True)
    time.sleep(60)
"""


def start_holder(lock: Path) -> subprocess.Popen[str]:
    holder = subprocess.Popen([sys.executable, "-c", HOLDS, str(lock)], stdout=subprocess.PIPE, text=True)
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    return holder


def test_one_process_works_on_a_thing_and_the_other_is_told_which(tmp_path: Path) -> None:
    lock = tmp_path / "results" / ".im_A.lock"
    with start_holder(lock) as holder:
        try:
            said = rf"im_A is being worked on by process {holder.pid} on \S+; wait for it"
            with pytest.raises(UserError, match=said), hold(lock, "im_A"):
                pass
            assert lock.exists()
        finally:
            holder.kill()
    with hold(lock, "im_A"):  # the lock of a killed process is no obstacle
        assert lock.read_text().split()[1] == str(os.getpid())
    assert not lock.exists()


def test_where_there_are_no_locks_the_file_is_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "fcntl", None)
    lock = tmp_path / ".lock"
    with hold(lock, "im_A"):
        pass
    lock.write_text("elsewhere 17\n")
    with pytest.raises(UserError, match="process 17 on elsewhere"), hold(lock, "im_A"):
        pass
    killed = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], stdout=subprocess.PIPE, check=True)
    lock.write_text(f"{files.socket.gethostname()} {int(killed.stdout)}\n")
    with hold(lock, "im_A"):
        pass


def test_of_many_that_want_it_at_once_only_one_has_it(tmp_path: Path) -> None:
    script = """
import sys, time
from pathlib import Path
from connectomics.errors import UserError
from connectomics.files import hold
entered = 0
end = time.monotonic() + 1.5
while time.monotonic() < end:
    try:
        with hold(Path(sys.argv[1]), "it"):
            inside = Path(sys.argv[1]).with_name("inside")
            inside.touch(exist_ok=False)
            inside.unlink()
            entered += 1
    except UserError:
        pass
print(entered)
"""
    command = [sys.executable, "-c", script, str(tmp_path / ".lock")]
    several = [subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) for _ in range(4)]
    answers = [one.communicate() for one in several]
    assert [one.returncode for one in several] == [0] * 4, answers
    assert sum(int(out) for out, _ in answers) > 100
