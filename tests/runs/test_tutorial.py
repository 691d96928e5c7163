"""The CREMI tutorial's own file, on the folder that its page tells of, made small and synthetic."""

import io
import zipfile
from pathlib import Path

import h5py
import numpy as np
import pytest

from connectomics.runs.cli import main
from connectomics.runs.cremi.cli import main as cremi
from connectomics.volumes.write import write_volume
from tests.cremi.server import Behaviour, serve
from tests.runs.reading import only_run
from tests.small_run import write_pair

TUTORIAL = str(Path(__file__).parents[2] / "tutorials" / "syn_cremi.yaml")
POLARITY = str(Path(__file__).parents[2] / "tutorials" / "syn_em_r50.yaml")
SHAPE = (42, 48, 48)
"""Sections as the crops of the file need them: 34 are held out, and 14 of those nobody annotated."""

SMALLER = [
    "system.num_gpus=0", "system.num_workers=0", "inference.precision=32-true",
    "inference.window.window_size=[4,16,16]", "model.rsunet.filters=[4,6,8,8,8]",
    "data.dataloader={patch_size: [4, 16, 16], batch_size: 2, reject_sampling: {size_thres: 10}, max_val_patches: 4}",
]  # fmt: skip
TRAINING = [
    "optimization.max_steps=4", "optimization.n_steps_per_epoch=2", "optimization.precision=32-true",
    "optimization.ema={decay: 0.5, warmup_steps: 1}",
    "data.augmentation.misalignment.displacement=2",
]  # fmt: skip


@pytest.fixture
def page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return `datasets/corrected` of the current folder, as the aligned archive is unpacked: without a mask."""
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "datasets" / "corrected"
    folder.mkdir(parents=True)
    for seed, name in enumerate(("A", "B", "C", "A+", "B+", "C+")):
        write_pair(folder, name, SHAPE, seed)
        for kind in ("im", "syn"):
            with h5py.File(folder / f"{kind}_{name}.h5", "a") as file:
                del file["main"].attrs["resolution"]
        if name.endswith("+"):
            (folder / f"syn_{name}.h5").unlink()
    return folder


def write_mask(folder: Path, name: str) -> None:
    mask = np.zeros(SHAPE, np.uint8)
    mask[:, :40, 8:] = 1
    write_volume(folder / f"mask_{name}.h5", mask, {"resolution": np.array([40.0, 4.0, 4.0])})


def run(*arguments: str) -> int:
    return main(["--config", TUTORIAL, *SMALLER, *arguments])


@pytest.mark.parametrize("masked", [(), ("B",), ("A", "B", "C")], ids=["no mask", "one mask", "all masks"])
def test_the_folder_of_the_page_is_trained_tuned_and_tested_as_it_is(
    page: Path, capsys: pytest.CaptureFixture[str], masked: tuple[str, ...]
) -> None:
    for name in masked:
        write_mask(page, name)
    others = [name for name in "ABC" if name not in masked]
    told = (
        [f"{', '.join(f'im_{n}' for n in masked)} with a mask: only voxels that were annotated count"] if masked else []
    )
    if others:
        told.append(f"{', '.join(f'im_{n}' for n in others)} without a mask: all voxels count, and those that nobody "
                    "annotated count as background")  # fmt: skip
    assert run(*TRAINING) == 0
    one = only_run(Path("outputs") / "rsunet_cremi_synapse_cleft")
    last = ["--checkpoint", str(one / "checkpoints" / "last.ckpt")]
    assert capsys.readouterr().out.splitlines().count("; ".join(told)) == 1
    assert run("--mode", "tune", *last) == 0
    assert capsys.readouterr().out.splitlines().count("; ".join(told)) == 1
    assert run("--mode", "test", *last, "--tuned", str(one / "results" / "tuned.yaml")) == 0
    assert capsys.readouterr().out.splitlines().count("; ".join(told)) == 1
    for name in "ABC":
        assert (one / "results" / f"test_im_{name}_prediction.h5").exists()
    plus = ["data.test.image=[datasets/corrected/im_A+.h5]", "data.test.label=[]", "data.test.mask=[]",
            "data.test.crop=null", "evaluation.enabled=false"]  # fmt: skip
    assert run("--mode", "test", *last, *plus) == 0
    assert "a mask" not in capsys.readouterr().out


def test_a_mask_that_somebody_names_must_be_there(page: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_mask(page, "A")
    names = [f"datasets/corrected/mask_{name}.h5" for name in ("A", "Bb", "C")]
    assert run(*TRAINING, f"data.train.mask=[{','.join(names)}]") == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "data.train.mask[1]: datasets/corrected/mask_Bb.h5 does not exist" in line
    optional = [f"optional:{name}" for name in names]
    assert run(*TRAINING, f"data.train.mask=[{','.join(optional)}]", "data.val.mask=[]", "--fast-dev-run", "1") == 0
    (page / "mask_C.h5").symlink_to("nowhere.h5")
    assert run(*TRAINING) == 2
    assert "mask_C.h5 does not exist" in capsys.readouterr().err
    (page / "mask_C.h5").unlink()
    (page / "mask_C.h5").write_text("<html>")
    assert run(*TRAINING) == 2
    assert "mask_C.h5" in capsys.readouterr().err


@pytest.mark.parametrize("mode", ["train", "tune", "test"])
@pytest.mark.parametrize("lost", ["im_B.h5", "syn_B.h5", None])
def test_what_is_missing_of_the_page_is_answered_with_the_command_that_fetches_it(
    page: Path, capsys: pytest.CaptureFixture[str], mode: str, lost: str | None
) -> None:
    if lost is None:
        page.rename(page.with_name("elsewhere"))
    else:
        (page / lost).unlink()
    assert run("--mode", mode) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert f"datasets/corrected/{lost or 'im_A.h5'} does not exist" in line
    assert "`python scripts/cremi.py download corrected --trust-first` fetches the aligned volumes" in line
    assert (
        "`python scripts/cremi.py prepare datasets/sample_*_padded_*.hdf --out datasets/corrected` makes them" in line
    )


def test_so_is_a_missing_folder_of_the_polarity_tutorial(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["--config", POLARITY]) == 2
    assert "`python scripts/cremi.py download em_r50 --trust-first` fetches it" in capsys.readouterr().err
    assert main(["--config", TUTORIAL, f"data.train.image=[{tmp_path}/datasets/corrected/im_A.h5]",
                 "data.train.label=[syn_A.h5]", "data.train.mask=[]"]) == 2  # fmt: skip
    assert f"download corrected --trust-first --out {tmp_path}/datasets` fetches" in capsys.readouterr().err
    assert main(["--config", TUTORIAL, "data.train.image=[elsewhere/im_A.h5]", "data.train.label=[syn_A.h5]",
                 "data.train.mask=[]"]) == 2  # fmt: skip
    told = capsys.readouterr().err
    assert "elsewhere/im_A.h5 does not exist" in told
    assert "cremi.py" not in told


def write_sides(folder: Path, seed: int) -> None:
    """Write a region as EM-R50 has them: two classes, and no voxel size."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(seed)
    sides = np.kron(rng.integers(0, 9, (10, 6, 6)), np.ones((4, 8, 8))).astype(np.uint16)
    sides[sides > 2] = 0
    for kind, voxels in (("im", (160 - 40 * sides).astype(np.uint8)), ("syn", sides)):
        write_volume(folder / f"{kind}_Yx2.h5", voxels, {})


@pytest.mark.parametrize("inner", ["", "jwr15_synapse/"])
def test_what_the_polarity_tutorial_reads_is_what_its_download_puts_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, inner: str
) -> None:
    monkeypatch.chdir(tmp_path)
    for seed, name in enumerate(("vol3", "vol4")):
        write_sides(tmp_path / "region" / name, seed)
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for path in (tmp_path / "region").rglob("*.h5"):
            archive.write(path, inner + str(path.relative_to(tmp_path / "region")))
    with serve(Behaviour({"jwr15_synapse.zip": content.getvalue()})) as url:
        assert cremi(["download", "em_r50", "--trust-first", "--url", url]) == 0
    small = ["--config", POLARITY, *SMALLER]
    assert main([*small, *TRAINING]) == 0
    last = only_run(Path("outputs") / "rsunet_em_r50_synapse_polarity") / "checkpoints" / "last.ckpt"
    for mode in ("tune", "test"):
        assert main([*small, "--mode", mode, "--checkpoint", str(last), "--fast-dev-run", "1"]) == 0
