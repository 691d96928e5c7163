"""A network is used at the voxel size that it learnt at, or somebody says that it need not be."""

from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from connectomics.runs.cli import main
from connectomics.volumes.read import open_volume
from connectomics.volumes.write import write_volume
from tests.runs.reading import only_run

ANYWAY = "data.allow_other_resolution=true"


def at(folder: Path, name: str, spacing: tuple[float, float, float]) -> list[str]:
    """Write the volumes `name` once more with other voxels, and return the files of image and label."""
    files = []
    for kind in ("im", "syn"):
        voxels = open_volume(str(folder / f"{kind}_{name}.h5"), "image" if kind == "im" else "label").read_all()[0]
        files.append(str(folder / f"{kind}_{name}_{'_'.join(map(str, spacing))}.h5"))
        write_volume(Path(files[-1]), voxels, {"resolution": np.array(spacing)})
    return files


def volumes(stage: str, *pairs: list[str]) -> list[str]:
    return [f"data.{stage}.image=[{', '.join(pair[0] for pair in pairs)}]",
            f"data.{stage}.label=[{', '.join(pair[1] for pair in pairs)}]"]  # fmt: skip


def pair_of(folder: Path, name: str) -> list[str]:
    return [str(folder / f"{kind}_{name}.h5") for kind in ("im", "syn")]


def run(small: Path, *arguments: str) -> int:
    return main(["--config", str(small), *arguments])


@pytest.fixture
def trained(small: Path) -> str:
    assert run(small) == 0
    return str(only_run(small.parent / "runs") / "checkpoints" / "last.ckpt")


@pytest.mark.filterwarnings("ignore:.*could not find the monitored key:UserWarning")  # an epoch without a step
def test_a_checkpoint_knows_its_voxel_size_and_is_refused_on_another(
    small: Path, trained: str, capsys: pytest.CaptureFixture[str]
) -> None:
    saved = torch.load(trained, weights_only=True)
    assert saved["learnt_at_nm"] == [[40.0, 4.0, 4.0]]
    others = {mode: at(small.parent, name, (30.0, 8.0, 8.0)) for mode, name in (("test", "test"), ("tune", "val"))}
    again = at(small.parent, "train", (30.0, 8.0, 8.0))
    for mode, stage in (("test", "test"), ("tune", "val"), ("train", "train")):
        chosen = volumes(stage, others.get(mode, again))
        if mode == "train":
            chosen += volumes("val", others["tune"])
        arguments = ["--mode", mode, "--checkpoint", trained, *chosen]
        capsys.readouterr()
        assert run(small, *arguments) == 2
        told = capsys.readouterr().err
        assert "voxels of 30 x 8 x 8 nm" in told
        assert f"{trained} learnt at 40 x 4 x 4 nm" in told
        assert ANYWAY in told
        assert told.count("\n") == 1
        more = ["optimization.max_steps=8"] if mode == "train" else []
        assert run(small, *arguments, ANYWAY, *more) == 0
        assert "it is taken as it is" in capsys.readouterr().out
    assert torch.load(trained, weights_only=True)["learnt_at_nm"] == [[40.0, 4.0, 4.0], [30.0, 8.0, 8.0]]


def test_volumes_of_a_training_have_one_voxel_size(small: Path, capsys: pytest.CaptureFixture[str]) -> None:
    known = pair_of(small.parent, "train")
    other = at(small.parent, "test", (30.0, 8.0, 8.0))
    for chosen in (volumes("train", known, other), volumes("val", other)):
        assert run(small, *chosen) == 2
        told = capsys.readouterr().err
        assert "test_30.0_8.0_8.0.h5:/main has voxels of 30 x 8 x 8 nm" in told
        assert "im_train.h5:/main has 40 x 4 x 4 nm" in told
    assert run(small, *volumes("train", known, other), ANYWAY) == 0
    last = only_run(small.parent / "runs") / "checkpoints" / "last.ckpt"
    assert torch.load(last, weights_only=True)["learnt_at_nm"] == [[40.0, 4.0, 4.0], [30.0, 8.0, 8.0]]
    capsys.readouterr()
    assert run(small, "--mode", "test", "--checkpoint", str(last), *volumes("test", other)) == 0
    assert "voxels" not in capsys.readouterr().out.partition("predicting")[0]


@pytest.mark.parametrize(
    ("spacing", "status", "said"),
    [((40.00001, 4.0, 4.0), 0, False), ((44.0, 4.2, 3.9), 0, True), ((40.0, 4.5, 4.5), 0, True),
     ((40.0, 4.0, 4.7), 2, False), ((33.0, 4.0, 4.0), 2, False)],
)  # fmt: skip
def test_a_little_more_or_less_passes_with_a_line(
    small: Path, trained: str, capsys: pytest.CaptureFixture[str],
    spacing: tuple[float, float, float], status: int, said: bool,
) -> None:  # fmt: skip
    capsys.readouterr()
    chosen = volumes("test", at(small.parent, "test", spacing))
    assert run(small, "--mode", "test", "--checkpoint", trained, *chosen) == status
    assert ("it is taken as it is" in capsys.readouterr().out) == said


def test_an_older_checkpoint_passes_with_a_line(small: Path, trained: str, capsys: pytest.CaptureFixture[str]) -> None:
    saved = torch.load(trained, weights_only=True)
    del saved["learnt_at_nm"]
    torch.save(saved, trained)
    other = volumes("test", at(small.parent, "test", (30.0, 8.0, 8.0)))
    assert run(small, "--mode", "test", "--checkpoint", trained, *other) == 0
    assert "does not know its voxel size" in capsys.readouterr().out


def test_grey_values_are_scaled_as_in_training(small: Path, trained: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(small, "--mode", "test", "--checkpoint", trained, "data.image_transform.normalize=none") == 2
    assert "trained with data.image_transform.normalize=0-1, the settings say none" in capsys.readouterr().err
    settings = yaml.safe_load(small.read_text())
    settings["default"]["data"]["image_transform"] = {"clip_percentile_low": 0.01}
    small.write_text(yaml.safe_dump(settings))
    assert run(small, "--mode", "test", "--checkpoint", trained) == 0
