"""The documentation holds: its links lead somewhere, its commands exist, its Python runs."""

from __future__ import annotations

import argparse
import json
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import h5py
import numpy as np
import pytest

import connectomics
from connectomics.runs.commands import COMMANDS, main
from tests.small_run import write_settings

ROOT = Path(__file__).parents[1]
PAGES = sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").glob("*.md")])
LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)|!\[[^\]]*\]\(([^)\s]+)\)|src=\"([^\"]+)\"")


def name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def anchors(page: Path) -> set[str]:
    """Return the anchors of a page's headings, as GitHub and mkdocs make them."""
    heads = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.M)
    plain = [re.sub(r"[^\w\- ]", "", head.lower()).strip() for head in heads]
    return {re.sub(r"\s+", "-", head) for head in plain}


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_link_leads_somewhere(page: Path) -> None:
    for found in LINK.finditer(page.read_text(encoding="utf-8")):
        target = next(group for group in found.groups() if group)
        if target.startswith(("http://", "https://", "mailto:")):
            continue
        file, _, anchor = target.partition("#")
        there = (page.parent / file).resolve() if file else page
        assert there.exists(), f"{name(page)}: {target}"
        assert not anchor or anchor in anchors(there), f"{name(page)}: {target}"


def test_every_page_is_in_the_table_of_contents() -> None:
    contents = re.findall(r": (\w+\.md)$", (ROOT / "mkdocs.yml").read_text(encoding="utf-8"), re.M)
    assert sorted(contents) == sorted(page.name for page in PAGES if page.parent.name == "docs")


def test_the_settings_page_is_what_the_code_says() -> None:
    script = ROOT / "scripts" / "dev" / "settings_reference.py"
    done = subprocess.run([sys.executable, str(script), "--check"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", page.read_text(encoding="utf-8"), re.S | re.M)


def commands() -> Iterator[tuple[str, str]]:
    """Yield the page and the words behind `connectomics` of every command that the pages show."""
    for page in PAGES:
        for block in blocks(page, "sh"):
            for line in block.replace("\\\n", " ").splitlines():
                if line.startswith("connectomics "):
                    yield name(page), line.partition(" ")[2]


class UnderstoodError(Exception):
    """The arguments of a command were understood."""


@pytest.mark.parametrize(("page", "line"), list(commands()))
def test_every_command_is_one(page: str, line: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run each as far as its arguments are understood."""
    for way in ("parse_args", "parse_intermixed_args"):
        usual = getattr(argparse.ArgumentParser, way)

        def parse(self: argparse.ArgumentParser, args: list[str], usual=usual) -> None:
            usual(self, args)
            raise UnderstoodError

        monkeypatch.setattr(argparse.ArgumentParser, way, parse)
    words = shlex.split(line, comments=True)
    assert words[0] in COMMANDS, f"{page}: {line}"
    with pytest.raises(UnderstoodError):
        main(words)


def test_the_python_of_the_pages_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = write_settings(tmp_path)
    settings.rename(tmp_path / "my.yaml")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "im_test.h5").rename(tmp_path / "my_em.h5")
    run = connectomics.train("my.yaml", "optimization.max_steps=2")
    known = {"image": read(tmp_path / "my_em.h5"), "label": read(tmp_path / "syn_test.h5"), "__name__": "__main__"}
    for code in blocks(ROOT / "docs" / "python.md", "python"):
        small = code.replace('"RUN"', repr(str(run))).replace("max_steps=2000", "max_steps=2")
        small = small.replace("(4, 32, 32)", "(4, 8, 8)")
        exec(compile(small, "docs/python.md", "exec"), known)
    assert known["probability"].shape == known["image"].shape
    assert known["part"].shape == (4, 8, 8)


def test_the_notebook_goes_from_two_arrays_to_a_picture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    shown: list[bytes] = []
    display = SimpleNamespace(Image=lambda data: data, display=shown.append)
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(display=display))
    monkeypatch.setitem(sys.modules, "IPython.display", display)
    cells = json.loads((ROOT / "tutorials" / "from_arrays.ipynb").read_text(encoding="utf-8"))["cells"]
    known: dict[str, Any] = {"__name__": "__main__"}
    for cell in cells:
        if cell["cell_type"] == "code":
            small = cell["source"].replace("max_steps: 300", "max_steps: 2").replace("epoch: 100", "epoch: 2")
            small = small.replace("(24, 192, 192)", "(18, 96, 96)").replace(
                "threshold=0.5, min_size=50", "threshold=0.1"
            )
            exec(compile(small, cell["id"], "exec"), known)
    assert known["probability"].shape == (18, 96, 96)
    assert shown[0].startswith(b"\x89PNG")


def read(path: Path) -> np.ndarray:
    with h5py.File(path) as file:
        return np.asarray(file["main"])
