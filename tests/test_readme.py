"""The commands that the pages show are commands that the settings accept."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

from connectomics.runs.cli import main
from connectomics.volumes.exports import EXPORTS
from connectomics.volumes.read import READERS, open_volume

ROOT = Path(__file__).parents[1]
DOCS = sorted(page.relative_to(ROOT).as_posix() for page in (ROOT / "docs").glob("*.md"))
SKIPPED_WITH_VALUE = {"--checkpoint", "--tuned", "--fast-dev-run"}
"""Options that name files of a run, or do not go with --print-config."""


def commands() -> list[tuple[str, list[str]]]:
    """Return the arguments of every `scripts/main.py --config` in the pages, without the files of a run."""
    found = []
    for page in ("README.md", "benchmarks/README.md", "connectomics/README.md", *DOCS):
        for block in blocks(page, "") + blocks(page, "sh"):
            for line in block.replace("\\\n", " ").splitlines():
                words = shlex.split(line, comments=True)
                if words[1:3] == ["scripts/main.py", "--config"]:
                    found.append((page, without_files(words[2:])))
    return found


def blocks(page: str, language: str) -> list[str]:
    """Return the code of a page that is marked as this language."""
    found = re.findall(r"^```(\w*)\n(.*?)^```$", (ROOT / page).read_text(encoding="utf-8"), re.S | re.M)
    return [code for marked, code in found if marked == language]


def without_files(words: list[str]) -> list[str]:
    kept, following = [], iter(expanded(words))
    for word in following:
        if word in SKIPPED_WITH_VALUE:
            next(following)
        else:
            kept.append(word)
    return kept


def expanded(words: list[str]) -> list[str]:
    """Do what a shell does with one pair of braces in a word that is not quoted, as in `a.{b,c}.enabled=false`."""
    out = []
    for word in words:
        match = re.fullmatch(r"([\w.]+)\{([\w,]+)\}([\w.=]+)", word)
        out += [word] if match is None else [match[1] + name + match[3] for name in match[2].split(",")]
    return out


def shown(value: str | list[str]) -> str:
    return value if isinstance(value, str) else " ".join(value)[:60]


def test_the_pages_show_commands() -> None:
    assert len(commands()) >= 5


@pytest.mark.parametrize(("page", "arguments"), commands(), ids=shown)
def test_a_command_of_a_page_is_accepted(
    page: str, arguments: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(ROOT)
    assert main([*arguments, "--print-config"]) == 0, f"{page}: {capsys.readouterr().err}"


@pytest.mark.parametrize("mode", ["train", "tune", "test"])
def test_a_file_of_settings_that_the_page_shows_is_accepted(
    mode: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (shown_file,) = blocks("docs/training.md", "yaml")
    file = tmp_path / "mine.yaml"
    file.write_text(shown_file.replace("base: ", f"base: {ROOT}/tutorials/"), encoding="utf-8")
    assert main(["--config", str(file), "--mode", mode, "--print-config"]) == 0, capsys.readouterr().err
    printed = yaml.safe_load(capsys.readouterr().out)
    assert printed["experiment_name"] == "mine"
    assert printed["data"]["test" if mode == "test" else "val"]["crop"] == ["-20:", ":", ":"]
    assert "datasets/" not in str(printed["data"])


def test_the_ids_that_vast_packs_into_colours_are_unpacked_as_the_page_shows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = np.arange(24, dtype=np.uint32).reshape(2, 3, 4) * 7001
    (tmp_path / "exported").mkdir()
    for z, section in enumerate(ids):
        colours = np.stack([section >> 16, section >> 8 & 255, section & 255], axis=-1).astype(np.uint8)
        Image.fromarray(colours).save(tmp_path / "exported" / f"s{z}.png")
    (code,) = blocks("docs/formats.md", "python")
    monkeypatch.chdir(tmp_path)
    exec(code, {})
    np.testing.assert_array_equal(open_volume("ids.npy", "label").read_all()[0], ids)


def test_the_page_of_formats_names_every_one() -> None:
    page = (ROOT / "docs" / "formats.md").read_text(encoding="utf-8")
    for suffix in READERS:
        assert suffix in page or suffix in (".hdf5", ".hdf", ".tiff", ".jpg", ".jpeg", ".bmp"), suffix
    assert all(f"| `{form}` |" in page for form in EXPORTS)


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md", "connectomics/README.md", "docs/formats.md"])
def test_no_link_to_a_file_is_dead(page: str) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    targets = [target.partition("#")[0] for target in re.findall(r"\]\(([^)]+)\)", text)]
    missing = [t for t in targets if t and "://" not in t and not ((ROOT / page).parent / t).exists()]
    assert missing == []
