"""Whatever cannot be used gives one clear line and status 2, and leaves nothing half-written."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
import yaml

from connectomics.runs.cli import main
from connectomics.volumes.write import write_volume
from tests.runs.reading import only_run
from tests.small_run import SMALL, write_pair

ROOT = Path(__file__).parents[2]


def refused(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    """Run the command line, expect status 2, and return its one line."""
    assert main([str(argument) for argument in arguments]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("error: ")
    return lines[0]


def rewrite(folder: Path, name: str, voxels: np.ndarray) -> str:
    path = folder / name
    write_volume(path, voxels, {"resolution": np.array([40.0, 4.0, 4.0])})
    return str(path)


def truncated(folder: Path) -> str:
    path = folder / "broken.h5"
    path.write_bytes((folder / "im_train.h5").read_bytes()[:1500])
    return f"data.train.image=[{path}]"


def with_nan(folder: Path) -> str:
    voxels = np.random.default_rng(0).random((6, 30, 34), np.float32)
    voxels[2, 3, 4] = np.nan
    return f"data.train.image=[{rewrite(folder, 'nan.h5', voxels)}]"


def other_shape(folder: Path) -> str:
    return f"data.train.label=[{rewrite(folder, 'other.h5', np.zeros((6, 30, 35), np.uint16))}]"


def too_small(folder: Path) -> str:
    image = rewrite(folder, "tiny.h5", np.zeros((2, 8, 8), np.uint8))
    return f"data.train={{image: ['{image}'], label: ['{image}']}}"


def float_label(folder: Path) -> str:
    return f"data.train.label=[{rewrite(folder, 'float.h5', np.zeros((6, 30, 34), np.float32))}]"


def no_hdf5(folder: Path) -> str:
    (folder / "text.h5").write_text("not HDF5")
    return f"data.train.image=[{folder / 'text.h5'}]"


def without_main(folder: Path) -> str:
    with h5py.File(folder / "named.h5", "w") as file:
        file["raww"], file["other"] = np.zeros((6, 30, 34), np.uint8), np.zeros((6, 30, 34), np.uint8)
    return f"data.train.image=['{folder / 'named.h5'}:/raw']"


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda folder: f"data.train.image=[{folder}/im_trian.h5]", "does not exist; did you mean 'im_train.h5'"),
        (truncated, "data.train.image[0]: "),
        (truncated, "truncated or no HDF5 file"),
        (no_hdf5, "truncated or no HDF5 file"),
        (without_main, "has no dataset '/raw'; did you mean 'raww'? (datasets there: other, raww)"),
        (with_nan, "holds nan at voxel (z, y, x) = (2, 3, 4)"),
        (other_shape, "has shape (6, 30, 35), its image"),
        (float_label, "float.h5"),
        (too_small, "a patch of data.dataloader.patch_size = (4, 16, 16) does not fit"),
        (lambda folder: "data.train.label=[]", "data.train.label names no file"),
        (lambda folder: "data.train.image=[]", "it must be empty or as long as data.train.image"),
        (lambda folder: "data.train={image: [], label: []}", "data.train.image names no volume"),
        (lambda folder: "data.train.resolution=[50,4,4]", "the settings say (50.0, 4.0, 4.0)"),
        (lambda folder: "data.train.crop=[':99',':',':']", "does not lie within the 6"),
        (lambda folder: "data.dataloader.patch_size=[4,15,16]", "must be divisible"),
        (lambda folder: "model.arch.type=unet", "model.arch.type is 'unet'; it must be one of rsunet"),
        (lambda folder: "model.loss.losses.0.function=Dice", "must be one of CrossEntropyLoss, DiceCELoss"),
        (lambda folder: "model.loss.losses.1.kwargs={smoth_nr: 1}", "did you mean 'smooth_nr'"),
        (lambda folder: "model.out_channels=2", "set model.out_channels, pred_slice or target_slice"),
        (lambda folder: "optimization.scheduler.name=CosineAnealing", "did you mean 'CosineAnnealingLR'"),
        (lambda folder: "optimization.optimizer.name=SGDD", "optimization.optimizer.name is 'SGDD'"),
        (lambda folder: "test.evaluation.metrics=[jacard]", "did you mean 'jaccard'"),
        (lambda folder: "evaluation.metrics=[polarity_f1]", "decoding.name is 'threshold', which tells none apart"),
        (lambda folder: "inference.window.blending=bum", "did you mean 'bump'"),
        (lambda folder: "data.target.type=clefts", "did you mean 'cleft'"),
        (lambda folder: "decoding.name=treshold", "did you mean 'threshold'"),
        (lambda folder: "inference.model.channel_activations.0.activation=sigmod", "did you mean 'sigmoid'"),
        (lambda folder: "system.num_gpus=64", "system.num_gpus is 64, but this machine has"),
        (lambda folder: "optimization.precision=16-mixed", "needs a GPU; on the CPU take"),
        (lambda folder: "monitor.checkpoint.monitor=trian_loss", "logged are train_loss_total_epoch"),
        (lambda folder: "inference.save_dtype=float64", "one of float32, float16, uint8"),
    ],
)  # fmt: skip
def test_a_training_that_cannot_be_says_why(
    small: Path, capsys: pytest.CaptureFixture[str], make: Callable[[Path], str], says: str
) -> None:
    override = make(small.parent)
    before = sorted(small.parent.rglob("*"))
    assert says in refused(capsys, "--config", small, override)
    assert sorted(small.parent.rglob("*")) == before


@pytest.fixture(scope="module")
def checkpoint_bytes(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """Return the bytes of a trained checkpoint of the small network."""
    folder = tmp_path_factory.mktemp("trained")
    image, label = write_pair(folder, "train")
    stages = {"train": {"image": [image], "label": [label]}}
    settings = {**SMALL, "save_path": str(folder / "runs"), "data": stages}
    (folder / "small.yaml").write_text(yaml.safe_dump(settings), encoding="utf-8")
    assert main(["--config", str(folder / "small.yaml"), "optimization.max_steps=1"]) == 0
    return (only_run(folder / "runs") / "checkpoints" / "last.ckpt").read_bytes()


def test_a_number_of_a_validation_that_does_not_happen_is_not_waited_for(
    small: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    no_validation = "data.val={image: [], label: []}"
    line = refused(capsys, "--config", small, no_validation, "monitor.early_stopping.enabled=true")
    assert "monitor.early_stopping.monitor is 'val_loss_total', but data.val.image names no volume" in line


def test_test_mode_needs_a_checkpoint(small: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "needs --checkpoint" in refused(capsys, "--config", small, "--mode", "test")
    missing = refused(capsys, "--config", small, "--mode", "test", "--checkpoint", small.parent / "no.ckpt")
    assert "no such file" in missing


@pytest.mark.parametrize("mode", ["train", "test"])
def test_a_checkpoint_that_is_none_is_refused(
    small: Path, capsys: pytest.CaptureFixture[str], checkpoint_bytes: bytes, mode: str
) -> None:
    path = small.parent / "a.ckpt"
    for content in (b"", b"text", checkpoint_bytes[:5000]):
        path.write_bytes(content)
        assert "damaged or not a checkpoint" in refused(capsys, "--config", small, "--mode", mode, "--checkpoint", path)
    torch.save({"state_dict": {}}, path)
    assert "not written by this package" in refused(capsys, "--config", small, "--mode", mode, "--checkpoint", path)


@pytest.mark.parametrize("mode", ["train", "test"])
def test_a_checkpoint_of_another_width_is_refused_with_both(
    small: Path, capsys: pytest.CaptureFixture[str], checkpoint_bytes: bytes, mode: str
) -> None:
    path = small.parent / "a.ckpt"
    path.write_bytes(checkpoint_bytes)
    line = refused(capsys, "--config", small, "--mode", mode, "--checkpoint", path, "model.rsunet.filters=[4,12]")
    assert "was trained with model.rsunet.filters=[4, 8], the settings say [4, 12]" in line


@pytest.mark.parametrize(
    ("override", "says"),
    [
        ("data.test.label=[]", "set evaluation.enabled=false"),
        ("data.test.image=[nowhere.h5]", "data.test.image[0]: nowhere.h5 does not exist"),
        ("evaluation.metrics=[f2]", "evaluation.metrics is 'f2'"),
        ("inference.model.channel_activations=[]", "entries whose channels"),
    ],
)
def test_a_test_that_cannot_be_says_why(
    small: Path, capsys: pytest.CaptureFixture[str], checkpoint_bytes: bytes, override: str, says: str
) -> None:
    path = small.parent / "a.ckpt"
    path.write_bytes(checkpoint_bytes)
    assert says in refused(capsys, "--config", small, "--mode", "test", "--checkpoint", path, override)
    assert not (small.parent / "runs").exists()


def test_a_nan_in_a_test_image_leaves_no_result(
    small: Path, capsys: pytest.CaptureFixture[str], checkpoint_bytes: bytes
) -> None:
    path = small.parent / "a.ckpt"
    path.write_bytes(checkpoint_bytes)
    image = with_nan(small.parent).removeprefix("data.train.image=")
    line = refused(capsys, "--config", small, "--mode", "test", "--checkpoint", path, f"data.test.image={image}")
    assert "holds nan at voxel" in line
    assert not [p for p in (small.parent / "runs").rglob("*") if p.is_file()]


@pytest.mark.parametrize(
    "flag", [["--mode", "test"], ["--checkpoint", "x.ckpt"], ["--fast-dev-run", "2"], ["--preview", "2"]]
)
def test_the_demo_takes_nothing_that_it_would_ignore(capsys: pytest.CaptureFixture[str], flag: list[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["--demo", *flag])
    assert stopped.value.code == 2
    assert "--demo trains and tests by itself" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("override", "says"),
    [
        ("data.val.image=[mine.h5]", "command line: data.val.image is ['mine.h5']; the demo makes its own volumes"),
        ("system.num_gpus=64", "command line: system.num_gpus is 64, but this machine has"),
        ("evaluation.metrics=[jacard]", "command line: evaluation.metrics is 'jacard'; it must be one of"),
        ("test.evaluation.metrics=[jacard]", "command line: evaluation.metrics is 'jacard'; it must be one of"),
    ],
)
def test_a_demo_that_cannot_be_says_so_before_it_makes_anything(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], override: str, says: str
) -> None:
    assert says in refused(capsys, "--demo", f"save_path={tmp_path / 'demo'}", override)
    assert not (tmp_path / "demo").exists()


def test_an_unknown_demo_is_told_with_those_there_are(capsys: pytest.CaptureFixture[str]) -> None:
    line = refused(capsys, "--demo", "polarty")
    assert "--demo is 'polarty'; it must be one of clefts, polarity; did you mean 'polarity'?" in line


@pytest.mark.parametrize(
    "arguments",
    [["--demo", "system.seed=7"], ["system.seed=7", "--demo"], ["--demo", "clefts", "system.seed=7"],
     ["--demo", "system.seed=7", "system.num_workers=0"]],
)  # fmt: skip
def test_a_setting_after_a_bare_demo_is_a_setting(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*arguments, "--print-config"]) == 0
    printed = capsys.readouterr().out
    assert "seed: 7" in printed
    assert "experiment_name: demo\n" in printed


def test_a_training_that_diverges_says_so(small: Path, capsys: pytest.CaptureFixture[str]) -> None:
    absurd = ["optimization.optimizer.lr=1e30", "optimization.gradient_clip_val=0", "model.rsunet.norm=none"]
    assert "the loss is" in refused(capsys, "--config", small, *absurd)


@pytest.mark.parametrize(
    "arguments",
    [["--help"], ["--config", "tutorials/syn_cremi.yaml", "model.rsunet.filers=[1]"], ["--config", "nothing.yaml"],
     ["--config", "tutorials/syn_cremi.yaml"], ["--config", "tutorials/syn_cremi.yaml", "--print-config"]],
    ids=["help", "typo", "missing file", "missing volume", "print"],
)  # fmt: skip
def test_the_quick_answers_need_no_torch(arguments: list[str]) -> None:
    code = "import sys; from connectomics.runs.cli import main\ntry: main(sys.argv[1:])\nexcept SystemExit: pass\n"
    code += "sys.exit(any(name in sys.modules for name in ('torch', 'pytorch_lightning', 'monai')))"
    done = subprocess.run([sys.executable, "-c", code, *arguments], cwd=ROOT, capture_output=True, timeout=60)
    assert done.returncode == 0, done.stderr
