"""`scripts/export.py`, from the command line."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from connectomics.runs.evaluate import evaluate
from connectomics.runs.export_files import export
from connectomics.volumes.exports import EXPORTS
from connectomics.volumes.write import write_volume

NM = np.array([40.0, 4.0, 4.0])
TRUTH = np.indices((5, 20, 24))[2] % 8 < 4


@pytest.fixture
def results(tmp_path: Path) -> Path:
    """Return a folder with a prediction in whole numbers, its mask, and the label."""
    found = np.where(TRUTH, 200, 40).astype(np.uint8) + np.random.default_rng(0).integers(0, 90, TRUTH.shape, np.uint8)
    stated = {"resolution": NM, "scale": 300.0, "content": "probability times scale"}
    write_volume(tmp_path / "p.h5", found, stated)
    write_volume(tmp_path / "m.h5", (found > 150).astype(np.uint8), {"resolution": NM, "content": "1 where found"})
    write_volume(tmp_path / "syn.h5", TRUTH.astype(np.uint16), {"resolution": NM})
    return tmp_path


def scores(prediction: Path, label: Path) -> dict:
    report = prediction.parent / "scores.json"
    assert evaluate([str(prediction), str(label), "--json", str(report)]) == 0
    (found,) = json.loads(report.read_text())["volumes"].values()
    return found


@pytest.mark.parametrize("form", [form for form in EXPORTS if form != "precomputed"])
def test_an_export_scores_as_its_file_does(results: Path, form: str, capsys: pytest.CaptureFixture[str]) -> None:
    out = results / "out"
    assert export([str(results / "p.h5"), str(results / "m.h5"), "--as", form, "--out", str(out)]) == 0
    said = capsys.readouterr().out
    assert f"p{EXPORTS[form].suffix}: probabilities times 300, uint8, (5, 20, 24) voxels of (40.0, 4.0, 4.0) nm" in said
    assert f"m{EXPORTS[form].suffix}: ids, uint8" in said
    for name in "pm":
        moved = scores(out / f"{name}{EXPORTS[form].suffix}", results / "syn.h5")
        assert moved == scores(results / f"{name}.h5", results / "syn.h5")


def test_nothing_is_written_where_something_is_in_the_way_of_any(
    results: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (results / "m.tif").write_text("mine")
    assert export([str(results / "p.h5"), str(results / "m.h5"), "--as", "tiff"]) == 2
    assert "m.tif exists already; give another --out, or --replace" in capsys.readouterr().err
    assert not (results / "p.tif").exists()
    assert export([str(results / "p.h5"), str(results / "m.h5"), "--as", "tiff", "--replace"]) == 0
    assert (results / "m.tif").read_bytes() != b"mine"
    (results / "other").mkdir()
    write_volume(results / "other" / "p.h5", TRUTH.astype(np.uint8), {"resolution": NM})
    files = [str(results / "p.h5"), str(results / "other" / "p.h5")]
    assert export([*files, "--as", "ome-zarr", "--out", str(results / "out")]) == 2
    assert "two files would both be exported to" in capsys.readouterr().err


def test_exporting_loads_neither_torch_nor_libraries_of_other_formats() -> None:
    unwanted = "{'torch', 'nibabel', 'mrcfile'} & set(sys.modules)"
    code = f"import sys, connectomics.runs.export_files; sys.exit(str({unwanted}) if {unwanted} else 0)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_what_cannot_be_exported_is_one_line(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    np.save(results / "a.npy", TRUTH.astype(np.uint8))
    assert export([str(results / "a.npy"), "--as", "tiff"]) == 2
    assert "does not state its voxel size; give --resolution" in capsys.readouterr().err
    assert export([str(results / "syn.h5"), "--as", "tiff"]) == 0
    assert (
        "syn.tif: grey values or probabilities (if these are ids, give --kind label), uint16" in capsys.readouterr().out
    )
    assert export([str(results / "a.npy"), "--as", "tiff", "--resolution", "40", "4", "4", "--kind", "label"]) == 0
    assert "ids, uint8" in capsys.readouterr().out
    assert export([str(results / "none.h5"), "--as", "tiff"]) == 2
    with pytest.raises(SystemExit):
        export([str(results / "p.h5"), "--as", "tif"])
