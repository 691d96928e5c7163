"""Every object of a prediction stands in a table, with numbers that can be counted by hand."""

import csv
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage

from connectomics.decoding import DECODERS
from connectomics.errors import ConfigError, UserError
from connectomics.metrics import LabelPair
from connectomics.metrics.judged import judge, list_objects
from connectomics.metrics.matching import MatchRule
from connectomics.reports.columns import names_of
from connectomics.reports.found import Found
from connectomics.reports.object_table import TABLES, list_annotated, list_clefts, write_table
from connectomics.reports.parquet import require_pyarrow
from connectomics.volumes.sections import Sections

SPACING, OFFSET = (40.0, 4.0, 4.0), (80.0, 0.0, -4.0)
RULE = MatchRule(min_iou=0.2)


def sections(probability: np.ndarray) -> Iterator[Sections]:
    for z in range(0, len(probability), 2):
        yield Sections(z, probability[np.newaxis, z : z + 2])


def draw_found(seed: int, share: float = 0.04, labelled: bool = True) -> Found:
    rng = np.random.default_rng(seed)
    probability = ndimage.gaussian_filter(rng.random((5, 16, 18)), (0.4, 1, 1)).astype(np.float32)
    predicted = probability >= np.quantile(probability, 1 - share)
    truth = ndimage.binary_dilation(np.roll(predicted, 1, axis=2) & (rng.random(predicted.shape) < 0.6))
    labels = predicted.view(np.uint8)
    judged = judge(LabelPair(labels, truth, SPACING), RULE) if labelled else list_objects(labels, SPACING, False, RULE)
    decoder = DECODERS["threshold"]
    return Found(judged, sections(probability), decoder.foreground, OFFSET, decoder.channels)


def probability_of(found: Found) -> np.ndarray:
    return np.concatenate([part.voxels[0] for part in found.probability])


@pytest.mark.parametrize("seed", range(4))
def test_each_row_says_what_brute_force_finds(seed: int) -> None:
    found = draw_found(seed)
    probability = probability_of(found)
    rows = {row["id"]: row for row in list_clefts(replace(found, probability=sections(probability)))}
    ids, number = ndimage.label(found.labels, np.ones((3, 3, 3)))
    assert len(rows) == number > 3
    marked, others = ndimage.label(found.pair.truth, np.ones((3, 3, 3)))
    listed = {row["id"]: row for row in list_annotated(found)}
    assert len(listed) == others
    every = [ids == k for k in range(1, number + 1)]
    truth = np.argwhere(found.pair.truth) * SPACING
    for row in rows.values():
        centre = [row[f"centroid_{a}"] for a in "zyx"]
        (inside,) = [
            one for one in every if one.sum() == row["voxels"] and np.allclose(np.argwhere(one).mean(0), centre)
        ]
        places = np.argwhere(inside)
        assert [row[f"first_{a}"] for a in "zyx"] == places.min(0).tolist()
        assert [row[f"last_{a}"] for a in "zyx"] == places.max(0).tolist()
        for place, voxel in (("centroid", places.mean(0)), ("first", places.min(0)), ("last", places.max(0))):
            np.testing.assert_allclose([row[f"{place}_{a}_nm"] for a in "zyx"], voxel * SPACING + OFFSET)
        met = set(np.unique(marked[inside])) - {0}
        assert (row["outcome"] == "invented") == (not met)
        assert (row["outcome"] == "merged") == (len(met) > 1)
        assert len((row["annotated_ids"] or "").split()) == len(met)
        for number in (row["annotated_ids"] or "").split():
            assert str(row["id"]) in listed[int(number)]["predicted_ids"].split()
        assert row["volume_um3"] == pytest.approx(row["voxels"] * 640e-9)
        ends = (places == 0).any() or (places == np.array(ids.shape) - 1).any()
        assert row["touches_border"] == ends
        assert row["mean_probability"] == pytest.approx(probability[inside].mean(), rel=1e-6)
        assert row["max_probability"] == probability[inside].max()
        apart = np.linalg.norm(places[:, np.newaxis] * SPACING - truth, axis=-1).min()
        assert row["nearest_annotated_nm"] == pytest.approx(apart)


def test_without_a_label_nothing_is_said_about_one(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    number = write_table(path, DECODERS["threshold"], draw_found(0, labelled=False)).objects
    rows = list(csv.DictReader(path.read_text().splitlines()))
    assert len(rows) == number > 3
    for row in rows:
        assert row["outcome"] == row["annotated_ids"] == row["iou"] == row["nearest_annotated_nm"] == ""
        assert float(row["max_probability"]) > 0
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.csv"]


def test_where_nothing_is_annotated_nothing_is_near_and_all_is_invented() -> None:
    found = draw_found(0)
    empty = LabelPair(found.labels, np.zeros(found.labels.shape, bool), SPACING)
    for row in list_clefts(replace(found, judged=judge(empty, RULE))):
        assert (row["outcome"], row["iou"], row["nearest_annotated_nm"]) == ("invented", None, None)


@pytest.mark.parametrize("decoder", DECODERS)
def test_a_table_of_nothing_has_its_columns(tmp_path: Path, decoder: str) -> None:
    nothing, sided = np.zeros((5, 16, 18), DECODERS[decoder].dtype), bool(DECODERS[decoder].classes)
    found = replace(draw_found(0), judged=list_objects(nothing, SPACING, sided, RULE))
    assert write_table(tmp_path / "a.csv", DECODERS[decoder], found).objects == 0
    table = TABLES[DECODERS[decoder].table]
    assert (tmp_path / "a.csv").read_text() == ",".join(names_of(table.columns)) + "\n"


def test_a_table_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="cannot be written"):
        write_table(tmp_path / "file" / "a.csv", DECODERS["threshold"], draw_found(0))


def test_a_table_in_parquet_holds_what_the_csv_says_with_types(tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    write_table(tmp_path / "a.csv", DECODERS["threshold"], draw_found(0), parquet=True)
    rows = list(csv.DictReader((tmp_path / "a.csv").read_text().splitlines()))
    table = parquet.read_table(tmp_path / "a.parquet")
    columns = TABLES["clefts"].columns
    assert table.schema.names == names_of(columns)
    for column in columns:
        field = table.schema.field(column.name)
        assert field.metadata[b"description"].decode() == column.meaning
        values = table.column(column.name).to_pylist()
        assert [column.cell(value) for value in values] == [row[column.name] for row in rows]
    assert str(table.schema.field("touches_border").type) == "bool"
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["a.csv", "a.parquet"]


def test_without_pyarrow_parquet_is_refused_before_anything_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("connectomics.reports.parquet.find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"evaluation.parquet needs pyarrow: pip install"):
        require_pyarrow()
