"""Whatever cannot be used gives one clear line and status 2, and leaves nothing half-written."""

import io
import resource
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest

from connectomics.runs.cremi.cli import main
from connectomics.volumes.write import write_volume
from tests.cremi.server import Behaviour, serve
from tests.tissue import SPACING, write_challenge

RAW, CLEFTS = "volumes/raw", "volumes/labels/clefts"
ROOT = Path(__file__).parents[3]


def refused(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    """Run the command line, expect status 2, and return its one line."""
    assert main([str(argument) for argument in arguments]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("error: ")
    return lines[0]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """Return the bytes of a challenge volume."""
    path = tmp_path_factory.mktemp("whole") / "sample.hdf"
    write_challenge(path, np.random.default_rng(0), (24, 160, 160), ((3, 48, 48), (18, 64, 64)), jump=8, drift=20)
    return path.read_bytes()


@pytest.fixture
def sample(tmp_path: Path, whole: bytes) -> Path:
    """Return a challenge volume of its own, to be spoilt."""
    path = tmp_path / "sample_A_padded_20160501.hdf"
    path.write_bytes(whole)
    return path


def recast(file: h5py.File) -> None:
    voxels, attributes = file[CLEFTS][:].astype(np.int64), dict(file[CLEFTS].attrs)
    del file[CLEFTS]
    file[CLEFTS] = voxels
    file[CLEFTS].attrs.update(attributes)


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda file: file[RAW].attrs.__delitem__("resolution"), "state its voxel size: --resolution Z Y X (nm)"),
        (lambda file: file[CLEFTS].attrs.__delitem__("offset"), "no attribute `offset`"),
        (lambda file: file[CLEFTS].attrs.__setitem__("offset", (400.0, 0, 0)), "outside its raw of (24, 160, 160)"),
        (recast, "in a copy of any other type, int64 too"),
    ],
)
def test_a_file_that_lacks_what_it_must_say_is_told(
    sample: Path, capsys: pytest.CaptureFixture[str], spoil: Callable[[h5py.File], object], says: str
) -> None:
    with h5py.File(sample, "a") as file:
        spoil(file)
    assert says in refused(capsys, "prepare", sample, "--out", sample.parent / "out")
    assert [path.name for path in sample.parent.iterdir()] == [sample.name]


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda sample: [sample.with_name("sample_B.hdf")], "does not exist"),
        (lambda sample: [sample, sample], "two volumes would both be written as im_A.h5"),
        (lambda sample: [sample, "--shifts", sample.with_name("no.csv")], "no.csv does not exist"),
        (lambda sample: [sample, "--shifts", sample], "is no table of comma-separated values"),
        (lambda sample: [sample, "--box", 0, 0, 0, 1, 1, 1], "leave --box out"),
        (lambda sample: [sample, "--resolution", 30, 4, 4], "has voxels of (40.0, 4.0, 4.0) nm"),
    ],
)
def test_wishes_that_cannot_be_met_are_told_before_anything_is_written(
    sample: Path, capsys: pytest.CaptureFixture[str], make: Callable[[Path], list[object]], says: str
) -> None:
    assert says in refused(capsys, "prepare", *make(sample), "--out", sample.parent / "out")
    assert [path.name for path in sample.parent.iterdir()] == [sample.name]


def test_a_file_that_is_no_hdf5_is_told_although_others_are_fine(
    sample: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = sample.with_name("sample_B_padded_20160501.hdf")
    text.write_text("<html>Not found</html>")
    assert "truncated or no HDF5 file" in refused(capsys, "prepare", sample, text, "--out", sample.parent / "out")
    assert not (sample.parent / "out").exists()


def test_a_volume_is_not_written_over_itself(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "im_A.h5"
    write_volume(path, np.zeros((5, 64, 64), np.uint8), {"resolution": np.array(SPACING)})
    before = path.read_bytes()
    assert "would be written over itself" in refused(capsys, "prepare", path, "--out", tmp_path, "--no-align")
    assert path.read_bytes() == before


def test_a_folder_that_cannot_be_made_is_told(sample: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "cannot be written" in refused(capsys, "prepare", sample, "--out", sample / "out")


@pytest.mark.parametrize("kilobytes", [40, 150])
def test_a_full_disk_is_one_clear_line_and_no_file(sample: Path, kilobytes: int) -> None:
    limit = kilobytes * 1024  # no file may grow larger, as on a full disk
    done = subprocess.run(
        [sys.executable, ROOT / "scripts" / "cremi.py", "prepare", sample, "--out", sample.parent / "out"],
        capture_output=True, text=True, cwd=ROOT, timeout=120, check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)),
    )  # fmt: skip
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert "cannot be written" in done.stderr
    assert list((sample.parent / "out").iterdir()) == []


TUNED = {
    "": "holds no decoding.threshold",
    ":\n -": "is not a YAML file of settings",
    "decoding: {treshold: 0.4}": "did you mean 'threshold'",
    "decoding: 0.4": "decoding is 0.4; it is a section",
    "decoding: {threshold: 2.0}": "decoding.threshold is 2.0",
    "decoding: {threshold: 0.5, min_size: -1}": "decoding.min_size is -1",
}
"""What a file of tuned settings may not hold, and what is said of it."""


def predicted(folder: Path, image: Path | None, shape: tuple[int, ...], offset: tuple[float, ...]) -> Path:
    path = folder / "test_im_A_prediction.h5"
    origin = {} if image is None else {"image": f"{image}:/main"}
    write_volume(
        path, np.zeros(shape, np.float32), {"resolution": np.array(SPACING), "offset": np.array(offset)} | origin
    )
    return path


def test_predictions_that_cannot_be_handed_in_are_told(sample: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = sample.parent
    assert main(["prepare", str(sample), "--out", str(folder / "out"), "--margin", "1", "8", "8", "--no-align"]) == 0
    image = folder / "out" / "im_A.h5"
    grid = (20, 80, 80), (80.0, 160.0, 160.0)
    out = ["--out", folder / "submission"]
    capsys.readouterr()
    assert "does not say which image" in refused(capsys, "submit", predicted(folder, None, *grid), *out)
    part = predicted(folder, image, (12, 80, 80), grid[1])
    assert "predict the whole image (test.data.test.crop=null)" in refused(capsys, "submit", part, *out)
    wide = predicted(folder, image, (20, 80, 90), grid[1])
    assert "has shape (20, 80, 90)" in refused(capsys, "submit", wide, *out)
    sides = predicted(folder, image, (3, 20, 80, 80), grid[1])
    assert "a prediction of clefts has one" in refused(capsys, "submit", sides, *out)
    good = predicted(folder, image, *grid)
    assert "two predictions would both be handed in as" in refused(capsys, "submit", good, good, *out)
    assert "does not exist" in refused(capsys, "submit", folder / "none.h5", *out)
    raw = folder / "raw" / "sample_A_20160501.hdf"
    raw.parent.mkdir()
    raw.write_bytes(sample.read_bytes())
    assert "holds a raw volume, not a submission" in refused(capsys, "submit", good, "--out", raw.parent)
    assert raw.read_bytes() == sample.read_bytes()
    tuned = folder / "tuned.yaml"
    for content, says in TUNED.items():
        tuned.write_text(content)
        assert says in refused(capsys, "submit", good, *out, "--tuned", tuned)
    assert "no such file; did you mean 'tuned.yaml'" in refused(
        capsys, "submit", good, *out, "--tuned", folder / "tune.yaml"
    )
    assert not (folder / "submission").exists()


def test_downloads_by_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    name = "sample_A+_padded_20160601.hdf"
    with serve(Behaviour({name: b"voxels"})) as url:
        common = ["--out", tmp_path, "--url", url]
        assert "neither a known digest" in refused(capsys, "download", name, *common)
        assert main([str(a) for a in ["download", name, *common, "--trust-first"]]) == 0
        assert "is recorded in sample_A+_padded_20160601.hdf.sha256" in capsys.readouterr().out
        assert main([str(a) for a in ["download", name, *common]]) == 0
        assert "is there already; SHA-256 verified" in capsys.readouterr().out
        assert "did you mean 'corrected'" in refused(capsys, "download", "corected", *common)
        assert "404" in refused(capsys, "download", "sample_A_20160501.hdf", *common)


def test_an_archive_is_unpacked_into_the_folder_that_the_tutorial_reads(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as opened:
        opened.writestr("somewhere/im_A.h5", b"voxels")
    with serve(Behaviour({"cremi.zip": archive.getvalue()})) as url:
        for _ in range(2):  # the second time all of it is there
            assert main(["download", "corrected", "--out", str(tmp_path), "--url", url, "--trust-first"]) == 0
            assert (tmp_path / "corrected" / "im_A.h5").read_bytes() == b"voxels"
        assert {path.name for path in tmp_path.iterdir()} == {"cremi.zip", "cremi.zip.sha256", "corrected"}
        told = capsys.readouterr().out
        assert "1 file(s) unpacked" in told
        assert "0 file(s) unpacked; 1 were there already" in told
        (tmp_path / "corrected" / "im_A.h5").write_bytes(b"mine")
        assert main(["download", "corrected", "--out", str(tmp_path), "--url", url]) == 0
    assert (tmp_path / "corrected" / "im_A.h5").read_bytes() == b"mine"
    assert "im_A.h5 kept, which the archive does not hold like this" in capsys.readouterr().out


@pytest.mark.parametrize(
    "line",
    ["", "prepare", "submit", "fetch", "prepare x --margin 1", "prepare x --margin 1 2 a", "submit x --threshold 1.5",
     "prepare x --shifts a --no-align", "prepare x --resolution 40 4 0"],
)  # fmt: skip
def test_a_wrong_command_line_ends_with_status_2(line: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(line.split())
    assert ended.value.code == 2
    assert "usage: cremi.py" in capsys.readouterr().err
