"""Damaged files: cut off, bits turned, blocks swapped; every one is read or refused in our own words, in seconds."""

import signal
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

import pytest

from benchmarks.damaged import FAULTS, main, outcome_of
from benchmarks.damaged_files import MAKERS, make_damaged, make_whole
from connectomics.errors import VolumeError
from connectomics.volumes.read import READERS, open_volume
from connectomics.volumes.section_stack import SECTIONS, SectionStack

SECONDS = 20
EACH = 12
"""Damaged copies of one file."""


@pytest.fixture(autouse=True)
def no_hang() -> Iterator[None]:
    """Let a test that hangs fail."""

    def ring(signum: int, frame: FrameType | None) -> None:
        raise TimeoutError(f"not done after {SECONDS} s")

    before = signal.signal(signal.SIGALRM, ring)
    signal.alarm(SECONDS)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@pytest.mark.parametrize("name", MAKERS)
def test_a_damaged_file_is_read_or_refused_as_ours(tmp_path: Path, name: str) -> None:
    (tmp_path / "whole").mkdir()
    whole = make_whole(tmp_path / "whole", name)
    assert outcome_of(whole) in ("as it was", "other voxels")
    for trial in range(EACH):
        make_damaged(whole, tmp_path / name, 7, trial)
        assert outcome_of(tmp_path / name) in ("as it was", "other voxels", "refused"), f"trial {trial}"


def test_damage_is_the_same_for_the_same_seed(tmp_path: Path) -> None:
    (tmp_path / "whole").mkdir()
    whole = make_whole(tmp_path / "whole", "v.npy")
    contents = set()
    for seed, trial in ((1, 3), (1, 3), (2, 3), (1, 7)):
        make_damaged(whole, tmp_path / "v.npy", seed, trial)
        contents.add((tmp_path / "v.npy").read_bytes())
    assert len(contents) == 3


def test_every_format_is_damaged_in_its_turn() -> None:
    whole = {suffix for suffix in READERS if any(name.endswith(suffix) for name in MAKERS)}
    assert {READERS[suffix] for suffix in whole} | {SectionStack} == set(READERS.values())
    assert set(SECTIONS.values()) == {SECTIONS[f".{name}"] for name in MAKERS if "." not in name}


def test_the_script_counts_what_its_processes_say(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = tmp_path / "rows.json"
    assert main(["--files", "8", "--formats", "v.npy", "--json", str(rows)]) == 0
    assert "8 files in " in capsys.readouterr().out
    assert not any(fault in rows.read_text() for fault in FAULTS)


@pytest.mark.parametrize("content", [b"", b"\x89HDF\r\n\x1a\n", b"II*\0\xff\xff\xff\xff", b"\0" * 4096])
@pytest.mark.parametrize(
    "suffix",
    [".h5", ".hdf", ".tif", ".zarr", ".png", ".jpg", ".bmp", ".npy", ".npz", ".nii", ".nii.gz", ".mrc"],
)
def test_what_is_no_such_file_is_refused(tmp_path: Path, suffix: str, content: bytes) -> None:
    (tmp_path / f"v{suffix}").write_bytes(content)
    with pytest.raises(VolumeError):
        open_volume(str(tmp_path / f"v{suffix}"))
