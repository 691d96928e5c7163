"""The synapses of a result as points, or as lines from pre to post, from the tables that a test wrote."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from connectomics.errors import UserError
from connectomics.geometry import Spacing

UNJUDGED = "not judged"
"""Outcome of an object where there is no label."""

TURNED = "wrong way round"
"""Outcome of a synapse in the right place whose sides are not, as on the page."""


@dataclass(frozen=True, slots=True)
class Synapse:
    """One object of a table."""

    id: int
    """As in the table, on the page, and in the volume of instances."""
    outcome: str
    """What became of it, as in `metrics.outcomes`, or `TURNED`."""
    voxels: int
    score: float | None
    """Its mean probability; None for an annotated one, which was not predicted."""
    places_nm: tuple[Spacing, ...]
    """Its centre, or the centres of its two sides from pre to post, along (z, y, x), in nm."""


def read_synapses(results: Path, name: str) -> list[Synapse]:
    """Return what was found in a volume; nothing where the test wrote no table.

    Raises:
        UserError: If the table is not one of ours.
    """
    return _read(results / f"test_{name}_synapses.csv")


def read_missed(results: Path, name: str) -> list[Synapse]:
    """Return the annotated synapses that were missed; nothing where the test wrote no table of annotated ones.

    Raises:
        UserError: If the table is not one of ours.
    """
    return [one for one in _read(results / f"test_{name}_annotated.csv") if one.outcome == "missed"]


def _read(path: Path) -> list[Synapse]:
    if not path.exists():
        return []
    with path.open(encoding="utf-8", newline="") as file:
        try:
            return [_synapse(row) for row in csv.DictReader(file)]
        except (KeyError, ValueError) as error:
            raise UserError(f"{path} is no table of this version of connectomics: {error}; test again") from error


def _synapse(row: Mapping[str, str]) -> Synapse:
    sided = "pre_voxels" in row
    sides = [side for side in ("pre", "post") if sided and int(row[f"{side}_voxels"])]
    voxels = int(row["voxels"])
    scores = [float(row[f"{side}_probability"]) for side in sides]
    if not sided and "mean_probability" in row:
        scores = [float(row["mean_probability"])]
    places = tuple(_place(row, one) for one in (sides or ["centroid"]))
    score = sum(scores) / len(scores) if scores else None
    outcome = TURNED if sided and row["right_way_round"] == "false" else row["outcome"] or UNJUDGED
    return Synapse(int(row["id"]), outcome, voxels, score, places)


def _place(row: Mapping[str, str], name: str) -> Spacing:
    z, y, x = (float(row[f"{name}_{axis}_nm"]) for axis in "zyx")
    return z, y, x
