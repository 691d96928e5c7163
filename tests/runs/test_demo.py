"""The demos in small: the same assembly as the real ones, with a network that has learnt nothing."""

import io
import json
import re
import signal
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
import pytest

from connectomics.config import load_configs
from connectomics.decoding import DECODERS
from connectomics.runs import demo as demo_module
from connectomics.runs.assemble import check_names
from connectomics.runs.cli import main
from connectomics.runs.demos import DEMOS
from connectomics.training.interruption import TrainingInterrupted

SMALL = [
    "system.num_gpus=0", "system.num_workers=0", "model.rsunet.filters=[4,8]",
    "model.rsunet.down_factors=[[1,2,2]]", "optimization.max_steps=2", "optimization.n_steps_per_epoch=2",
    "optimization.ema.warmup_steps=1", "data.dataloader.patch_size=[4,32,32]", "data.dataloader.max_val_patches=1",
    "inference.test_time_augmentation.enabled=false",
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Shown:
    """A demo that was run on small volumes."""

    name: str
    folder: Path
    said: str

    @property
    def results(self) -> Path:
        (found,) = self.folder.glob("*/results")
        return found

    def ids(self, volume: str) -> np.ndarray:
        """Return the ids of a volume's label, without the background."""
        with h5py.File(self.folder / "volumes" / f"syn_{volume}.h5") as file:
            return np.setdiff1d(file["main"][:], [0])


@pytest.fixture(scope="module", params=DEMOS)
def shown(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Shown:
    folder, said = tmp_path_factory.mktemp(request.param), io.StringIO()
    with pytest.MonkeyPatch.context() as patched, redirect_stdout(said):
        for shape in ("TRAIN_SHAPE", "VAL_SHAPE", "TEST_SHAPE"):
            patched.setattr(demo_module, shape, (6, 128, 128))
        assert main(["--demo", request.param, f"save_path={folder}", *SMALL]) == 0
    return Shown(request.param, folder, said.getvalue())


@pytest.mark.parametrize("name", DEMOS)
def test_every_name_in_the_settings_of_a_demo_is_known(name: str) -> None:
    chosen = DEMOS[name]
    check_names(load_configs(chosen.settings, [], "demo", chosen.base))


def test_a_demo_trains_predicts_decodes_scores_and_says_where_the_results_are(shown: Shown) -> None:
    chosen = DEMOS[shown.name]
    config = load_configs(chosen.settings, [], "demo", chosen.base)["test"]
    scores = json.loads((shown.results / "metrics.json").read_text(encoding="utf-8"))
    assert set(config.evaluation.metrics) <= set(scores["volumes"]["im_test"])
    names = ("report.html", "test_im_test.png", "test_im_test_prediction.h5", "test_im_test_mask.h5",
             "test_im_test_synapses.csv")  # fmt: skip
    for file in names:
        assert str(shown.results / file) in shown.said
        assert (shown.results / file).exists()


def test_what_a_demo_writes_is_what_its_decoder_says(shown: Shown) -> None:
    chosen = DEMOS[shown.name]
    decoder = DECODERS[load_configs(chosen.settings, [], "demo", chosen.base)["test"].decoding.name]
    with h5py.File(shown.results / "test_im_test_mask.h5") as file:
        assert file["main"].dtype == decoder.dtype
        assert file["main"].attrs["content"] == decoder.content
    page = (shown.results / "report.html").read_text(encoding="utf-8")
    (entries,) = re.findall('id="entries">(.*?)</script>', page)
    assert json.loads(entries)["parts"] == list(decoder.classes)


@pytest.mark.parametrize("volume", ["train", "val", "test"])
def test_every_volume_of_a_demo_holds_whole_synapses(shown: Shown, volume: str) -> None:
    ids, parts = shown.ids(volume), 2 if DEMOS[shown.name].label == "polarity" else 1
    assert ids.tolist() == list(range(1, len(ids) + 1))
    assert len(ids) >= parts
    assert len(ids) % parts == 0


def test_a_stopped_demo_does_not_promise_to_go_on(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    def stopped(*arguments: object) -> None:
        raise TrainingInterrupted(signal.SIGINT, tmp_path / "last.ckpt")

    monkeypatch.setattr(demo_module, "demo", stopped)
    assert main(["--demo"]) == 128 + signal.SIGINT
    said = capsys.readouterr().err
    assert "begins anew with the same command" in said
    assert "--checkpoint" not in said
