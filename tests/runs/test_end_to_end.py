"""The journey of a datum, by the command line: train, resume, test."""

import json
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
import yaml

from connectomics.config import load_config, load_configs
from connectomics.decoding import DECODERS
from connectomics.runs.cli import main
from connectomics.volumes.read import read_volume
from connectomics.volumes.write import write_volume
from tests.runs.reading import only_run, scalars, tags
from tests.small_run import write_pair

LOSS = "train_loss_total_step"


def run_cli(*arguments: object) -> int:
    return main([str(argument) for argument in arguments])


def trained(small: Path, *overrides: str) -> Path:
    assert run_cli("--config", small, *overrides) == 0
    return only_run(small.parent / "runs")


def test_a_training_leaves_settings_checkpoints_and_a_log(small: Path) -> None:
    run = trained(small)
    assert {path.name for path in run.iterdir()} == {"config.yaml", "checkpoints", "logs"}
    names = sorted(path.name for path in (run / "checkpoints").iterdir())
    assert names[-1] == "last.ckpt"
    assert [name.split("-loss")[0] for name in names[:-1]] == ["epoch=0000-step=000003", "epoch=0001-step=000006"]
    assert load_config(run / "config.yaml", mode="train").optimization.max_steps == 6
    logged = tags(run)
    assert {"train_loss_DiceLoss", "train_loss_WeightedBCEWithLogitsLoss", LOSS, "train_loss_total_epoch",
            "val_loss_total", "val_jaccard", "val_cremi_distance",
            "learning_rate"} <= set(logged["scalars"])  # fmt: skip
    assert logged["images"] == [f"validation/patch_{i}_raw_label_probability" for i in range(2)]
    assert list(scalars(run, LOSS)) == list(range(6))


def test_the_sum_of_the_terms_is_the_loss(small: Path) -> None:
    run = trained(small)
    terms = [scalars(run, f"train_loss_{name}") for name in ("DiceLoss", "WeightedBCEWithLogitsLoss")]
    for step, total in scalars(run, LOSS).items():
        assert total == pytest.approx(sum(term[step] for term in terms), rel=1e-5)


def test_the_same_seed_gives_the_same_losses_and_another_seed_others(small: Path, tmp_path: Path) -> None:
    losses = []
    for number, seed in enumerate((1, 1, 2)):
        folder = tmp_path / f"again{number}"
        assert run_cli("--config", small, f"system.seed={seed}", f"save_path={folder}") == 0
        losses.append(list(scalars(only_run(folder), LOSS).values()))
    assert losses[0] == losses[1]
    assert losses[0] != losses[2]


@pytest.mark.parametrize("stop", [2, 3, 4], ids=["inside an epoch", "at an epoch's end", "inside the second epoch"])
@pytest.mark.parametrize("accumulate", [1, 2])
def test_a_stopped_and_resumed_training_is_the_unbroken_one(
    small: Path, tmp_path: Path, stop: int, accumulate: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    common = [f"optimization.accumulate_grad_batches={accumulate}", "optimization.scheduler.params.t_max=6"]
    assert run_cli("--config", small, *common, f"save_path={tmp_path / 'whole'}") == 0
    whole = only_run(tmp_path / "whole")
    _interrupt_after(monkeypatch, stop)
    assert run_cli("--config", small, *common, f"save_path={tmp_path / 'broken'}") == 128 + 2
    monkeypatch.undo()
    broken = only_run(tmp_path / "broken")
    last = broken / "checkpoints" / "last.ckpt"
    assert run_cli("--config", small, *common, "--checkpoint", last, f"save_path={tmp_path / 'broken'}") == 0
    assert scalars(broken, LOSS) == pytest.approx(scalars(whole, LOSS), rel=1e-5)
    assert scalars(broken, "learning_rate") == pytest.approx(scalars(whole, "learning_rate"), rel=1e-6)
    ours, theirs = (torch.load(r / "checkpoints" / "last.ckpt", weights_only=True) for r in (broken, whole))
    assert ours["global_step"] == theirs["global_step"] == 6
    for key in ("state_dict",):
        torch.testing.assert_close(ours[key], theirs[key], rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(ours["ema"]["weights"], theirs["ema"]["weights"], rtol=1e-4, atol=1e-6)


def test_test_mode_predicts_scores_and_names_its_files(small: Path) -> None:
    run = trained(small)
    last = run / "checkpoints" / "last.ckpt"
    assert run_cli("--config", small, "--mode", "test", "--checkpoint", last) == 0
    names = {"test_im_test_prediction.h5", "test_im_test_mask.h5", "test_im_test.png", "metrics.json",
             "report.html", "test_im_test_synapses.csv", "test_im_test_metrics.json", "test_im_test_instances.h5",
             "test_im_test_annotated.csv", ".im_test_grey_values.json"}  # fmt: skip
    assert {path.name for path in (run / "results").iterdir()} == names
    with h5py.File(run / "results" / "test_im_test_prediction.h5") as file:
        probability, attributes = file["main"][:], dict(file["main"].attrs)
    with h5py.File(run / "results" / "test_im_test_mask.h5") as file:
        mask = file["main"][:]
    assert (probability.dtype, probability.shape) == (np.float32, (6, 30, 34))
    assert attributes["resolution"].tolist() == [40, 4, 4]
    assert attributes["offset"].tolist() == [0, 0, 0]
    np.testing.assert_array_equal(mask, probability >= 0.5)
    scores = json.loads((run / "results" / "metrics.json").read_text())
    with h5py.File(small.parent / "syn_test.h5") as file:
        truth = file["main"][:] > 0
    union = (truth | (mask > 0)).sum()
    assert scores["volumes"]["im_test"]["jaccard"] == pytest.approx((truth & (mask > 0)).sum() / union)
    assert set(scores) == {"volumes", "mean", "stamp"}
    assert set(scores["mean"]) >= {"cremi_distance", "jaccard"} or "cremi_distance_undefined" in scores["mean"]


def test_test_mode_takes_the_averaged_weights_unless_told_otherwise(small: Path) -> None:
    run = trained(small)
    last = run / "checkpoints" / "last.ckpt"
    predictions = []
    for use_ema in ("true", "false"):
        assert run_cli("--config", small, "--mode", "test", "--checkpoint", last, f"inference.use_ema={use_ema}") == 0
        with h5py.File(run / "results" / "test_im_test_prediction.h5") as file:
            predictions.append(file["main"][:])
    assert not np.allclose(*predictions)


def test_several_volumes_are_scored_one_by_one_and_on_average(small: Path, tmp_path: Path) -> None:
    run = trained(small)
    image, label = write_pair(tmp_path, "other", shape=(3, 10, 50), seed=9)
    both = [f"data.test.image=[{tmp_path}/im_test.h5,{image}]", f"data.test.label=[{tmp_path}/syn_test.h5,{label}]"]
    last = run / "checkpoints" / "last.ckpt"
    assert run_cli("--config", small, "--mode", "test", "--checkpoint", last, *both) == 0
    scores = json.loads((run / "results" / "metrics.json").read_text())
    values = [scores["volumes"][name]["jaccard"] for name in ("im_test", "im_other")]
    assert scores["mean"]["jaccard"] == pytest.approx(np.mean(values))


def test_a_volume_without_labels_is_predicted_when_evaluation_is_off(small: Path) -> None:
    run = trained(small)
    arguments = ["--config", small, "--mode", "test", "--checkpoint", run / "checkpoints" / "last.ckpt"]
    assert run_cli(*arguments, "data.test.label=[]") == 2
    assert run_cli(*arguments, "data.test.label=[]", "evaluation.enabled=false") == 0
    assert not (run / "results" / "metrics.json").exists()


def test_a_volume_whose_label_cannot_be_read_does_not_cost_the_others_their_scores(
    small: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = trained(small, "optimization.max_steps=3")
    image, label = write_pair(tmp_path, "other", shape=(3, 10, 50), seed=9)
    ids = np.zeros((3, 10, 50), np.int32)
    ids[1, 2, 3] = -2
    write_volume(Path(label), ids, {"resolution": np.array([40.0, 4.0, 4.0])})
    both = [f"data.test.image=[{image},{tmp_path}/im_test.h5]", f"data.test.label=[{label},{tmp_path}/syn_test.h5]"]
    last = run / "checkpoints" / "last.ckpt"
    capsys.readouterr()
    assert run_cli("--config", small, "--mode", "test", "--checkpoint", last, *both) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "im_other has no scores: the label holds the id -2" in line
    scores = json.loads((run / "results" / "metrics.json").read_text())
    assert scores["volumes"]["im_other"]["jaccard"] is None
    assert "holds the id -2" in scores["volumes"]["im_other"]["jaccard_undefined"]
    assert scores["volumes"]["im_test"]["jaccard"] > 0
    assert {path.name for path in (run / "results").iterdir()} >= {
        "test_im_other_mask.h5", "test_im_other.png", "test_im_other_synapses.csv", "report.html",
        "test_im_test_metrics.json", "test_im_other_metrics.json"}  # fmt: skip


def test_a_test_says_where_its_page_is(small: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = trained(small)
    assert run_cli("--config", small, "--mode", "test", "--checkpoint", run / "checkpoints" / "last.ckpt") == 0
    page = run / "results" / "report.html"
    assert str(page) in capsys.readouterr().out
    scores = json.loads((run / "results" / "metrics.json").read_text())
    assert f"{scores['mean']['jaccard']:.4g}" in page.read_text(encoding="utf-8")


@pytest.mark.parametrize("override", ["evaluation.report=false", "inference.save_results=false"])
def test_no_page_is_written_where_there_is_nothing_to_show(small: Path, override: str) -> None:
    run = trained(small, "optimization.max_steps=3")
    last = run / "checkpoints" / "last.ckpt"
    assert run_cli("--config", small, "--mode", "test", "--checkpoint", last, override) == 0
    assert not (run / "results" / "report.html").exists()


def test_fast_dev_run_tries_everything_and_writes_nothing(small: Path) -> None:
    assert run_cli("--config", small, "--fast-dev-run", 2) == 0
    assert not (small.parent / "runs").exists()
    run = trained(small)
    before = sorted(run.rglob("*"))
    last = run / "checkpoints" / "last.ckpt"
    assert run_cli("--config", small, "--mode", "test", "--checkpoint", last, "--fast-dev-run", 1) == 0
    assert sorted(run.rglob("*")) == before


def test_a_preview_is_drawn_without_training(small: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_cli("--config", small, "--preview", 2, "data.augmentation.flip.enabled=true") == 0
    path = small.parent / "runs" / "preview.png"
    assert str(path) in capsys.readouterr().out
    assert [entry.name for entry in path.parent.iterdir()] == ["preview.png"]


def test_a_training_without_validation_volumes_trains(small: Path) -> None:
    run = trained(small, "data.val={image: [], label: []}")
    assert "val_loss_total" not in tags(run)["scalars"]


def test_a_prediction_that_is_there_is_not_made_again(small: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = trained(small)
    arguments = ["--config", small, "--mode", "test", "--checkpoint", run / "checkpoints" / "last.ckpt"]
    assert run_cli(*arguments) == 0
    first = json.loads((run / "results" / "metrics.json").read_text())["volumes"]
    assert "is there already" not in capsys.readouterr().out
    assert run_cli(*arguments) == 0
    assert "is there already" in capsys.readouterr().out
    assert json.loads((run / "results" / "metrics.json").read_text())["volumes"] == first
    assert run_cli(*arguments, "inference.window.overlap=0.25") == 0
    assert "is there already" not in capsys.readouterr().out


@pytest.mark.parametrize("preset", ["exact", "fast"])
@pytest.mark.parametrize(("backend", "dtype"), [("zarr", "float32"), ("ome-zarr", "uint8"), ("h5", "float16")])
def test_every_way_to_save_gives_the_same_probabilities(small: Path, preset: str, backend: str, dtype: str) -> None:
    run = trained(small, "optimization.max_steps=3")
    arguments = ["--config", small, "--mode", "test", "--checkpoint", run / "checkpoints" / "last.ckpt"]
    common = [*arguments, f"inference.preset={preset}"]
    assert run_cli(*common) == 0
    exact = read_volume(str(run / "results" / "test_im_test_prediction.h5")).voxels
    assert run_cli(*common, f"inference.save_backend={backend}", f"inference.save_dtype={dtype}") == 0
    saved = read_volume(str(run / "results" / f"test_im_test_prediction.{backend.replace('-', '.')}")).voxels
    assert saved.dtype == dtype
    scale = 255 if dtype == "uint8" else 1
    np.testing.assert_allclose(saved / scale, exact, atol={"float32": 0, "float16": 1e-3, "uint8": 0.5 / 255}[dtype])


@pytest.mark.parametrize("saves", ["true", "false"])
def test_a_decoder_that_needs_the_whole_volume_finds_what_one_that_goes_by_sections_finds(
    small: Path, monkeypatch: pytest.MonkeyPatch, saves: str
) -> None:
    run = trained(small, "optimization.max_steps=3")
    last = run / "checkpoints" / "last.ckpt"
    arguments = ["--config", small, "--mode", "test", "--checkpoint", last, f"inference.save_results={saves}"]
    scores = []
    for by_section in (True, False):
        decoder = replace(DECODERS["threshold"], by_section=lambda config, answer=by_section: answer)
        monkeypatch.setitem(DECODERS, "threshold", decoder)  # type: ignore[arg-type]
        assert run_cli(*arguments) == 0
        scores.append(json.loads((run / "results" / "metrics.json").read_text())["volumes"])
    assert scores[0] == scores[1]


def test_a_checkpoint_holds_plain_values_only(small: Path) -> None:
    run = trained(small)
    checkpoint = torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)
    written = yaml.safe_load((run / "config.yaml").read_text())
    assert checkpoint["settings"] == {key: value for key, value in written.items() if key not in ("tune", "test")}
    assert checkpoint["global_step"] == 6


def _interrupt_after(monkeypatch: pytest.MonkeyPatch, step: int) -> None:
    """Send the process a Ctrl-C when an optimizer step has been taken."""
    import signal

    from connectomics.training.ema import WeightAverage

    usual = WeightAverage.on_train_batch_end

    def and_interrupt(self, trainer, module, outputs, batch, batch_idx):  # type: ignore[no-untyped-def]
        usual(self, trainer, module, outputs, batch, batch_idx)
        if trainer.global_step == step:
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(WeightAverage, "on_train_batch_end", and_interrupt)


def test_the_settings_in_the_run_hold_in_every_mode_and_from_everywhere(
    small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(small.parent)
    text = small.read_text(encoding="utf-8").replace(f"{small.parent}/", "")
    Path("relative.yaml").write_text(text.replace("save_path: runs", "save_path: near"), encoding="utf-8")
    assert main(["--config", "relative.yaml", "inference.window.overlap=0.25", "optimization.max_steps=2"]) == 0
    (run,) = (small.parent / "near").iterdir()
    monkeypatch.chdir(tmp_path)
    kept = load_configs(run / "config.yaml")
    assert kept["test"].data.test.image == [str(small.parent / "im_test.h5")]
    assert {config.inference.window.overlap for config in kept.values()} == {0.25}
    assert kept["train"].save_path == str(small.parent / "near")
    assert main(["--config", str(run / "config.yaml"), "--mode", "test", "--checkpoint", str(run)]) == 0
    assert (run / "results" / "metrics.json").exists()
