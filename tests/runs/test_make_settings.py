"""`--init`: from volumes to a file of settings that trains."""

from pathlib import Path

import numpy as np
import pytest

from connectomics.config import load_config
from connectomics.phantom import make_phantom
from connectomics.runs.cli import main
from connectomics.runs.commands import main as command
from connectomics.volumes.write import write_volume


@pytest.fixture(scope="module")
def volumes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("mine")
    phantom = make_phantom((14, 96, 96), np.random.default_rng(0), synapses_per_um3=40.0)
    size = {"resolution": np.array(phantom.spacing_nm)}
    write_volume(folder / "im_mine.h5", phantom.image, size)
    write_volume(folder / "syn_mine.h5", phantom.label, size)
    write_volume(folder / "bare.h5", phantom.image, {})
    return folder


def test_the_file_that_is_written_trains(
    volumes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    image, label = str(volumes / "im_mine.h5"), str(volumes / "syn_mine.h5")
    assert command(["init", image, "--label", label, "--hours", "0.01"]) == 0
    told = capsys.readouterr().out
    assert "Measured by 3 steps" in told
    assert "pixels thick" in told
    planned = load_config(tmp_path / "mine.yaml")
    assert planned.data.train.image == [image]
    assert planned.optimization.max_steps == 300
    quick = ["optimization.max_steps=2", "optimization.n_steps_per_epoch=2", "system.num_workers=0"]
    assert main(["--config", "mine.yaml", *quick]) == 0
    assert list((tmp_path / "outputs" / "mine").glob("*/checkpoints/last.ckpt"))


def test_an_image_alone_gets_a_plan_to_be_filled_in(volumes: Path, tmp_path: Path) -> None:
    out = tmp_path / "later.yaml"
    assert main(["--init", str(volumes / "im_mine.h5"), "--out", str(out)]) == 0
    assert "still to be annotated" in out.read_text(encoding="utf-8")


def test_a_voxel_size_that_no_file_states_is_asked_for(
    volumes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bare, out = str(volumes / "bare.h5"), tmp_path / "bare.yaml"
    assert main(["--init", bare, "--out", str(out)]) == 2
    assert "does not state its voxel size; give it with --resolution Z Y X in nm" in capsys.readouterr().err
    assert main(["--init", bare, "--resolution", "40", "8", "8", "--out", str(out)]) == 0
    assert load_config(out).data.train.resolution == (40.0, 8.0, 8.0)


def test_a_file_that_is_there_is_not_replaced(
    volumes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "mine.yaml"
    out.write_text("mine", encoding="utf-8")
    assert main(["--init", str(volumes / "im_mine.h5"), "--out", str(out)]) == 2
    assert "is not replaced" in capsys.readouterr().err
    assert out.read_text(encoding="utf-8") == "mine"


def test_a_missing_file_is_told_with_its_flag(
    volumes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--init", str(tmp_path / "im.h5")]) == 2
    assert f"--init: {tmp_path / 'im.h5'} does not exist" in capsys.readouterr().err
    assert main(["--init", str(volumes / "im_mine.h5"), "--label", "syn.h5", "--out", str(tmp_path / "x.yaml")]) == 2
    assert "--label: syn.h5 does not exist" in capsys.readouterr().err


def test_swapped_files_are_told(volumes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    swapped = ["--init", str(volumes / "syn_mine.h5"), "--label", str(volumes / "im_mine.h5")]
    assert main([*swapped, "--out", str(tmp_path / "x.yaml")]) == 2
    assert "seem to be swapped" in capsys.readouterr().err
    assert not (tmp_path / "x.yaml").exists()
