"""How many synapses were found is the same number wherever it is told."""

import csv
import io
import json
import re
from collections.abc import Iterator
from contextlib import redirect_stdout
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from connectomics.inference import predict_volume
from connectomics.metrics import LabelPair
from connectomics.metrics.judged import judge
from connectomics.metrics.matching import MatchRule
from connectomics.metrics.outcomes import Outcome
from connectomics.reports.section_picture import legend_entries
from connectomics.runs import demo as demo_module
from connectomics.runs.cli import main
from connectomics.volumes.labels import read_label
from connectomics.volumes.read import open_volume, read_volume

SMALL = [
    "system.num_gpus=0", "system.num_workers=0", "model.rsunet.filters=[4,8]",
    "model.rsunet.down_factors=[[1,2,2]]", "optimization.max_steps=2", "optimization.n_steps_per_epoch=2",
    "optimization.ema.warmup_steps=1", "data.dataloader.patch_size=[4,32,32]", "data.dataloader.max_val_patches=1",
    "inference.test_time_augmentation.enabled=false",
]  # fmt: skip


def rows_of(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(path.read_text(encoding="utf-8").splitlines()))


def counts_in_tables(predicted: list[dict[str, str]], annotated: list[dict[str, str]]) -> dict[str, int]:
    """Return the counts as a reader of the tables finds them: mergers and inventions are predicted objects."""
    return {
        word.key: sum(row["outcome"] == word for row in (predicted if word in ("merged", "invented") else annotated))
        for word in Outcome
    }


def counts_in_text(text: str) -> dict[str, int]:
    return {word.key: int(re.search(rf"{word} ([\d,]+)", text)[1].replace(",", "")) for word in Outcome}  # type: ignore[index]


def corrupted(label: np.ndarray, channels: int) -> np.ndarray:
    """Return probabilities (C, Z, Y, X) of a label with synapses lost, joined, cut in two, shifted and invented."""
    rng, where = np.random.default_rng(1), label > 0
    numbers = np.unique((label[where] + 1) // 2 if channels > 1 else label[where])
    lost, cut = numbers[::5], numbers[1::5]
    own = (label + 1) // 2 if channels > 1 else label
    kept = np.where(np.isin(own, lost), 0, label)
    for number in cut:
        place = np.argwhere(own == number)
        middle = round(place[:, 2].mean())
        kept[(own == number) & (abs(np.arange(label.shape[2]) - middle) < 3 * channels)] = (
            0  # wider than what is bridged
        )
    for z, y, x in rng.integers(0, np.subtract(label.shape, (2, 40, 60)), (4, 3)):
        kept[z : z + 2, y : y + 5, x : x + 30] = 1
        kept[z : z + 2, y + 5 : y + 10, x : x + 30] = channels - 1
    if channels == 1:
        return (kept > 0)[np.newaxis].astype(np.float32)
    return np.stack([kept % 2 == 1, (kept > 0) & (kept % 2 == 0), kept > 0]).astype(np.float32)


@dataclass(frozen=True, slots=True)
class Told:
    """The results of a demo whose network makes known mistakes, and what the console said."""

    results: Path
    said: str
    sided: bool

    def tables(self) -> tuple[list[dict[str, str]], list[dict[str, str]]]:
        """Return what was predicted, and what is annotated."""
        return rows_of(self.results / "test_im_test_synapses.csv"), rows_of(self.results / "test_im_test_annotated.csv")

    def entries(self) -> Any:
        """Return what the page holds."""
        page = (self.results / "report.html").read_text(encoding="utf-8")
        return json.loads(re.findall('id="entries">(.*?)</script>', page)[0])

    @property
    def counts(self) -> dict[str, Any]:
        """Return the counts of `metrics.json`."""
        scores = json.loads((self.results / "metrics.json").read_text(encoding="utf-8"))
        return scores["volumes"]["im_test"]["synapse_detection"]


@pytest.fixture(scope="module", params=["clefts", "polarity"])
def told(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Told:
    folder, said = tmp_path_factory.mktemp(request.param), io.StringIO()
    sided = request.param == "polarity"

    def mistaken(*arguments: Any) -> Iterator[Any]:
        label = read_volume(str(folder / "volumes" / "syn_test.h5"), "label").voxels[0]
        probability = corrupted(label.astype(np.int64), 3 if sided else 1)
        for sections in predict_volume(*arguments):
            yield replace(sections, voxels=probability[(slice(None), *sections.box.slices)])

    with pytest.MonkeyPatch.context() as patched, redirect_stdout(said):
        patched.setattr("connectomics.inference.saved.predict_volume", mistaken)
        for shape, extent in (
            ("TRAIN_SHAPE", (6, 128, 128)),
            ("VAL_SHAPE", (6, 128, 128)),
            ("TEST_SHAPE", (20, 256, 256)),
        ):
            patched.setattr(demo_module, shape, extent)
        assert main(["--demo", request.param, f"save_path={folder}", *SMALL]) == 0
    (results,) = folder.glob("*/results")
    return Told(results, said.getvalue(), sided)


def test_the_six_counts_agree_in_json_tables_page_picture_and_console(told: Told) -> None:
    counts = {word.key: told.counts[word.key] for word in Outcome}
    assert min(counts[key] for key in ("found", "split", "missed", "invented")) > 0
    assert counts_in_tables(*told.tables()) == counts
    (entry,) = told.entries()["volumes"]
    assert entry["detection"] == told.counts
    page = (told.results / "report.html").read_text(encoding="utf-8")
    assert counts_in_text(re.sub("<[^>]*>", " ", page[page.index('class="outcomes"') :])) == counts
    assert counts_in_text(re.findall(r"im_test: (found .*)", told.said)[0]) == counts
    judged = judge(pair_of(told), MatchRule())
    assert counts_in_text(", ".join(text for _, text in legend_entries(judged, "clefts"))) == counts


def test_the_list_of_the_page_has_the_same_objects_as_the_tables(told: Told) -> None:
    predicted, annotated = told.tables()
    (entry,) = told.entries()["volumes"]
    listed = {(one["kind"], one["id"]): one for one in entry["objects"]}
    assert len(listed) == len(entry["objects"]) == len(predicted) + told.counts["missed"]
    for row in predicted:
        kind = "turned" if row.get("right_way_round") == "false" else row["outcome"]
        assert listed[kind, int(row["id"])]["voxels"] == int(row["voxels"])
    missed = [row for row in annotated if row["outcome"] == "missed"]
    assert all(listed["missed", int(row["id"])]["voxels"] == int(row["voxels"]) for row in missed)


def test_the_ids_of_tables_and_instances_are_the_same(told: Told) -> None:
    source = open_volume(str(told.results / "test_im_test_instances.h5"))
    ids = source.read_all()[0]
    assert ids.dtype == np.uint32
    for row in told.tables()[0]:
        places = np.argwhere(ids == int(row["id"]))
        assert len(places) == int(row["voxels"])
        assert float(row["volume_um3"]) == pytest.approx(len(places) * np.prod(source.info.spacing_nm) / 1e9, rel=1e-3)
        if not told.sided:
            np.testing.assert_allclose([float(row[f"centroid_{a}"]) for a in "zyx"], places.mean(axis=0), atol=0.051)
    assert set(np.unique(ids)) - {0} == {int(row["id"]) for row in told.tables()[0]}


def pair_of(told: Told) -> LabelPair:
    """Read the pair anew from the files."""
    mask = open_volume(str(told.results / "test_im_test_mask.h5"))
    label = read_label(open_volume(str(told.results.parents[1] / "volumes" / "syn_test.h5"), "label"))
    assert mask.info.spacing_nm is not None
    return LabelPair(mask.read_all()[0], label.ids, mask.info.spacing_nm, label.annotated, told.sided)
