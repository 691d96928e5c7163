"""How to get a missing file that a tutorial reads."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

SOURCES: Mapping[str, str] = {
    "corrected": "`python scripts/cremi.py download corrected --trust-first{out}` fetches the aligned volumes, and "
    "`python scripts/cremi.py prepare {folder}/sample_*_padded_*.hdf --out {folder}/corrected` makes them, with masks, "
    "from the challenge's own, which `python scripts/cremi.py download{out}` fetches",
    "jwr15": "`python scripts/cremi.py download em_r50 --trust-first{out}` fetches it",
}
"""Folder in `datasets` that the tutorials read to how to get its files."""


def how_to_get(path: Path) -> str:
    """Return the end of an error about a missing file: how to get it, if a tutorial reads it."""
    for folder in path.parents:
        if folder.name in SOURCES and folder.parent.name == "datasets":
            out = "" if folder.parent == Path("datasets") else f" --out {folder.parent}"
            return "; " + SOURCES[folder.name].format(out=out, folder=folder.parent)
    return ""
