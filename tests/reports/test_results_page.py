"""The page on results names every file and every column."""

import re
from dataclasses import fields
from pathlib import Path

import pytest

from connectomics.metrics.outcomes import Outcome
from connectomics.reports.columns import Column
from connectomics.reports.object_table import ANNOTATED_COLUMNS, TABLES

PAGE = (Path(__file__).parents[2] / "docs" / "results.md").read_text(encoding="utf-8")
SECTIONS = dict(re.findall(r"^## (.*?)\n(.*?)(?=^## |\Z)", PAGE, re.S | re.M))


@pytest.mark.parametrize("table", TABLES)
def test_every_column_of_the_objects_is_explained(table: str) -> None:
    assert {column.name for column in TABLES[table].columns} <= named("Columns of `synapses.csv`")


def test_every_column_of_what_is_annotated_is_explained() -> None:
    grouped = {column.name for column in ANNOTATED_COLUMNS if re.match("(centroid|first|last)_", column.name)}
    own = {column.name for column in ANNOTATED_COLUMNS} - grouped
    assert own <= named("Columns of `annotated.csv`")
    assert grouped <= named("Columns of `synapses.csv`")


def test_every_outcome_has_its_rule() -> None:
    rules = re.findall(r"^\| ([a-z ]+) \|", SECTIONS["What became of each synapse"], re.M)
    assert [word for word in rules if word != "word"] == list(Outcome)


def test_a_column_says_what_it_holds() -> None:
    assert [field.name for field in fields(Column)][:2] == ["name", "meaning"]
    assert all(column.meaning for table in TABLES.values() for column in table.columns)


def named(section: str) -> set[str]:
    return set(re.findall(r"`(\w+)`", SECTIONS[section]))
