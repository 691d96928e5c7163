"""Labels that cannot be meant are told before the first step."""

from pathlib import Path

import h5py
import numpy as np
import pytest

from connectomics.runs.cli import main


def train(small: Path, *more: str) -> int:
    return main(["--config", str(small), "--fast-dev-run", "1", *more])


def overwrite(path: Path, value: int) -> None:
    with h5py.File(path, "r+") as file:
        file["main"][:] = value


def test_the_share_of_foreground_is_said(small: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with h5py.File(small.parent / "syn_train.h5") as file:
        share = np.mean(file["main"][:] > 0)
    assert train(small) == 0
    said = capsys.readouterr().out
    assert f"foreground among the annotated voxels: im_train {share:.2%}" in said
    assert "warning" not in said


@pytest.mark.parametrize("cache", ["true", "false"])
def test_a_label_without_foreground_is_refused(small: Path, cache: str, capsys: pytest.CaptureFixture[str]) -> None:
    overwrite(small.parent / "syn_train.h5", 0)
    assert train(small, f"data.dataloader.use_preloaded_cache_train={cache}") == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "no annotated voxel of im_train is foreground" in line


def test_foreground_that_a_mask_or_a_crop_leaves_out_is_none(small: Path, capsys: pytest.CaptureFixture[str]) -> None:
    overwrite(small.parent / "syn_train.h5", 0)
    with h5py.File(small.parent / "syn_train.h5", "r+") as file:
        file["main"][5, :5] = 3
    assert train(small, "data.train.crop=[':5',':',':']") == 2
    assert "is foreground; there is nothing to learn" in capsys.readouterr().err


def test_a_label_that_is_nearly_all_foreground_is_warned_of(small: Path, capsys: pytest.CaptureFixture[str]) -> None:
    overwrite(small.parent / "syn_train.h5", 1)
    assert train(small) == 0
    said = capsys.readouterr().out
    assert "im_train 100.00%" in said
    assert "warning: synapses fill some 1 % of neuropil; the label of im_train may be an image" in said


def test_an_image_given_as_label_is_warned_of(small: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = small.parent
    swapped = [f"data.train.image=[{folder}/syn_train.h5]", f"data.train.label=[{folder}/im_train.h5:/main]"]
    assert train(small, *swapped, "data.train.resolution=null") == 0
    assert "warning: synapses fill some 1 %" in capsys.readouterr().out


@pytest.mark.parametrize(("crop", "warns"), [(":3", True), ("2:", True), ("4:", False)])
def test_a_validation_on_learnt_tissue_is_told(
    small: Path, crop: str, warns: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = small.parent
    same = f"data.val={{image: [{folder}/im_train.h5], label: [{folder}/syn_train.h5], crop: ['{crop}',':',':']}}"
    assert train(small, "data.train.crop=[':4',':',':']", same) == 0
    assert ("data.val holds voxels of" in capsys.readouterr().out) == warns
