"""`--mode predict`: from a checkpoint and an image to what was found, without settings and without a label."""

import shutil
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest

from connectomics.runs.cli import main
from tests.small_run import write_pair, write_settings


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Train a tiny network, and return the folder that holds its settings, volumes and runs."""
    folder = tmp_path_factory.mktemp("trained")
    assert main(["--config", str(write_settings(folder))]) == 0
    return folder


def run_of(trained: Path) -> Path:
    return next((trained / "runs").iterdir())


def predict(trained: Path, *more: str) -> int:
    return main(["--mode", "predict", "--checkpoint", str(run_of(trained) / "checkpoints" / "last.ckpt"), *more])


def read(path: Path) -> np.ndarray:
    with h5py.File(path) as file:
        return np.asarray(file["main"])


def test_it_predicts_what_test_mode_predicts(trained: Path, tmp_path: Path) -> None:
    image = str(trained / "im_test.h5")
    assert predict(trained, image, "--out", str(tmp_path / "found")) == 0
    checkpoint = str(run_of(trained) / "checkpoints" / "last.ckpt")
    tested = ["--config", str(trained / "small.yaml"), "--mode", "test", "--checkpoint", checkpoint]
    assert main([*tested, "--out", str(tmp_path / "tested")]) == 0
    name = "test_im_test_prediction.h5"
    np.testing.assert_array_equal(read(tmp_path / "found" / name), read(tmp_path / "tested" / name))
    assert (tmp_path / "found" / "test_im_test_synapses.csv").exists()


def test_the_settings_of_a_file_are_followed(trained: Path, tmp_path: Path) -> None:
    given = ["--config", str(trained / "small.yaml"), "inference.save_dtype=uint8"]
    assert predict(trained, *given, str(trained / "im_val.h5"), "--out", str(tmp_path)) == 0
    assert read(tmp_path / "test_im_val_prediction.h5").dtype == np.uint8


def test_several_images_of_any_name_are_predicted(trained: Path, tmp_path: Path) -> None:
    one, _ = write_pair(tmp_path, "1=one")
    two, _ = write_pair(tmp_path, "two")
    assert predict(trained, one, two, "inference.save_dtype=uint8", "--out", str(tmp_path / "found")) == 0
    found = sorted(path.name for path in (tmp_path / "found").glob("*_prediction.h5"))
    assert found == ["test_im_1=one_prediction.h5", "test_im_two_prediction.h5"]


def test_the_folder_of_a_run_stands_for_its_newest_checkpoint(trained: Path, tmp_path: Path) -> None:
    arguments = [str(trained / "im_test.h5"), "--out", str(tmp_path)]
    assert main(["--mode", "predict", "--checkpoint", str(run_of(trained)), *arguments]) == 0
    assert (tmp_path / "test_im_test_prediction.h5").exists()


def test_a_checkpoint_alone_is_enough(trained: Path, tmp_path: Path) -> None:
    alone = Path(shutil.copy(run_of(trained) / "checkpoints" / "last.ckpt", tmp_path / "mine.ckpt"))
    image = str(trained / "im_test.h5")
    assert main(["--mode", "predict", "--checkpoint", str(alone), image, "--out", str(tmp_path / "found")]) == 0
    assert (tmp_path / "found" / "test_im_test_mask.h5").exists()


@pytest.mark.parametrize(
    ("slip", "told"),
    [
        (["im_tost.h5"], "command line: im_tost.h5 does not exist"),
        (["infrence.preset=fast"], "infrence is not a known setting; did you mean 'inference'?"),
        (["save_path=elsewhere", "x.h5"], "--out DIR"),
    ],
)
def test_a_slip_is_told_in_a_line(
    trained: Path, slip: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert predict(trained, *slip) == 2
    error = capsys.readouterr().err
    assert told in error
    assert error.count("\n") == 1


def test_the_images_of_the_training_are_never_meant(trained: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert predict(trained) == 2
    assert "name one or more images" in capsys.readouterr().err
    assert predict(trained, "--config", str(trained / "small.yaml"), "--fast-dev-run", "1") == 0


def test_settings_in_the_place_of_a_checkpoint_are_told(trained: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--mode", "predict", "--checkpoint", str(run_of(trained) / "config.yaml"), "im.h5"]) == 2
    assert "holds settings; the weights are in checkpoints/last.ckpt" in capsys.readouterr().err


def test_a_typo_is_told_before_torch_is_imported(trained: Path) -> None:
    program = (
        "import sys; from connectomics.runs.cli import main; "
        "status = main(['--mode', 'predict', '--checkpoint', sys.argv[1], 'im.h5', 'infrence.preset=fast']); "
        "sys.exit(status if 'torch' not in sys.modules else 99)"
    )
    checkpoint = run_of(trained) / "checkpoints" / "last.ckpt"
    done = subprocess.run([sys.executable, "-c", program, str(checkpoint)], capture_output=True, text=True, check=False)
    assert done.returncode == 2, done.stderr
