"""Several networks predict together: the mean of their probabilities, in every mode but training."""

import json
from pathlib import Path

import h5py
import numpy as np
import pytest
from numpy.typing import NDArray

import connectomics
from connectomics.errors import CheckpointError
from connectomics.runs.arguments import parse_args
from connectomics.runs.cli import main
from tests.small_run import write_settings

SPACING = (40.0, 4.0, 4.0)


@pytest.fixture(scope="module")
def seeds(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    """Train three networks of different seeds, and return the settings and the three runs."""
    folder = tmp_path_factory.mktemp("seeds")
    settings, runs = write_settings(folder), []
    for seed in (1, 2, 3):
        place = folder / f"seed{seed}"
        changes = [
            f"system.seed={seed}",
            f"save_path={place}",
            "optimization.max_steps=3",
            "optimization.ema.decay=0.0",
        ]
        assert main(["--config", str(settings), *changes]) == 0
        (run,) = place.iterdir()
        runs.append(str(run))
    return settings, runs


def image() -> NDArray:
    return np.random.default_rng(7).integers(0, 255, (6, 30, 34), dtype=np.uint8)


def read(path: Path) -> NDArray:
    with h5py.File(path) as file:
        return np.asarray(file["main"])


def test_one_network_thrice_is_that_network_to_the_last_bit(seeds: tuple[Path, list[str]]) -> None:
    _, (run, *_) = seeds
    once = connectomics.load(run).predict(image(), SPACING)
    thrice = connectomics.load([run] * 3).predict(image(), SPACING)
    assert np.ptp(once) > 0
    np.testing.assert_array_equal(thrice, once)


@pytest.mark.parametrize("activation", ["sigmoid", "none"])
def test_several_are_the_mean_of_what_each_predicts(seeds: tuple[Path, list[str]], activation: str) -> None:
    how = f"inference.model.channel_activations.0.activation={activation}"
    each = [connectomics.load(run, how).predict(image(), SPACING) for run in seeds[1]]
    together = connectomics.load(seeds[1], how).predict(image(), SPACING)
    assert max(np.abs(one - each[0]).max() for one in each[1:]) > 1e-3
    np.testing.assert_allclose(together, np.mean(each, axis=0), rtol=1e-5, atol=1e-6)


def test_tune_and_test_name_all_networks_and_predict_together(
    seeds: tuple[Path, list[str]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings, runs = seeds
    both = ["--config", str(settings), "--checkpoint", *runs]
    assert main([*both, "--mode", "tune", "--out", str(tmp_path / "tuned"), "system.num_gpus=0"]) == 0
    said = capsys.readouterr().out
    checkpoints = [str(Path(run) / "checkpoints" / "last.ckpt") for run in runs]
    assert f"--checkpoint {' '.join(checkpoints)} --tuned" in said
    out = tmp_path / "tested"
    tuned = ["--tuned", str(tmp_path / "tuned" / "tuned.yaml")]
    assert main([*both, "--mode", "test", "--out", str(out), *tuned]) == 0
    assert "with 3 networks, the averaged (EMA) weights of steps 3, 3, 3" in capsys.readouterr().out
    stamp = json.loads((out / "metrics.json").read_text())["stamp"]
    assert (stamp["checkpoint"], stamp["step"]) == (checkpoints, [3, 3, 3])
    assert all(path in (out / "report.html").read_text() for path in checkpoints)
    assert main([*both, "--mode", "test", "--out", str(out), *tuned]) == 0
    assert "its prediction is there already" in capsys.readouterr().out
    assert main([*both[:-1], "--mode", "test", "--out", str(out), *tuned]) == 0  # two of the three: another prediction
    assert "its prediction is there already" not in capsys.readouterr().out


def test_predict_mode_takes_images_behind_the_networks(seeds: tuple[Path, list[str]], tmp_path: Path) -> None:
    settings, runs = seeds
    picture = str(settings.parent / "im_test.h5")
    names = ["--mode", "predict", "--checkpoint", *runs[:2], picture, "inference.preset=fast", "--out", str(tmp_path)]
    assert main(names) == 0
    networks = connectomics.load(runs[:2], "inference.preset=fast")
    found = networks.predict(read(Path(picture)), SPACING)
    np.testing.assert_allclose(read(tmp_path / "test_im_test_prediction.h5"), found, rtol=1e-5, atol=1e-6)


def test_results_of_several_need_a_folder(seeds: tuple[Path, list[str]], capsys: pytest.CaptureFixture[str]) -> None:
    settings, runs = seeds
    assert main(["--config", str(settings), "--mode", "test", "--checkpoint", *runs]) == 2
    assert "say where it goes with --out DIR" in capsys.readouterr().err


def test_a_training_goes_on_from_one(seeds: tuple[Path, list[str]], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--config", str(seeds[0]), "--checkpoint", *seeds[1]])
    assert "a training goes on from one" in capsys.readouterr().err


def test_a_network_of_other_settings_is_no_member(seeds: tuple[Path, list[str]], tmp_path: Path) -> None:
    settings, runs = seeds
    other = [f"save_path={tmp_path}", "model.rsunet.activation=relu", "optimization.max_steps=1"]
    assert main(["--config", str(settings), *other]) == 0
    with pytest.raises(CheckpointError, match=r"was trained with model\.rsunet\.activation=relu, the settings say elu"):
        connectomics.load([runs[0], *tmp_path.iterdir()])
    with pytest.raises(CheckpointError, match="name one or several"):
        connectomics.load([])


def test_what_follows_a_checkpoint_is_told_apart(tmp_path: Path) -> None:
    run = tmp_path / "run"
    (run / "checkpoints").mkdir(parents=True)
    (tmp_path / "sections").mkdir()
    line = ["--mode", "predict", "--checkpoint", "a.ckpt", str(run), "em.h5", str(tmp_path / "sections"), "x.y=b.ckpt"]
    args = parse_args(line)
    assert [str(path) for path in args.checkpoints] == ["a.ckpt", str(run)]
    assert args.images == ["em.h5", str(tmp_path / "sections")]
    assert args.overrides == ["x.y=b.ckpt"]
    later = ["--checkpoint", "any", "k=2", "--mode", "test", "k=3"]
    args = parse_args(["--config", "c.yaml", "k=1", *later])
    assert [str(path) for path in args.checkpoints] == ["any"]
    assert args.overrides == ["k=1", "k=2", "k=3"]
