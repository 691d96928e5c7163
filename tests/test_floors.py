"""Imports go downward only: the complete table of what may import what."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "connectomics"

GROUND = {"errors", "lookup", "geometry", "sides", "files", "stopping"}
SCREEN = GROUND | {"screen"}
ARRAYS = {"models", "losses", "metrics", "decoding"}
MAY_IMPORT: dict[str, set[str]] = {
    "errors": set(),
    "geometry": set(),
    "sides": set(),
    "stopping": set(),
    "lookup": {"errors"},
    "files": {"errors"},
    "screen": GROUND,
    "drawing": GROUND,
    "config": GROUND,
    "volumes": GROUND | {"config"},
    "models": GROUND | {"config"},
    "losses": GROUND | {"config"},
    "metrics": GROUND,
    "decoding": GROUND | {"config"},
    "phantom": GROUND | {"volumes"},
    "alignment": GROUND | {"volumes"},
    "data": GROUND | {"config", "volumes"},
    "inference": GROUND | {"config", "volumes"},
    "reports": SCREEN | {"config", "drawing", "volumes", "metrics", "decoding"},
    "planning": GROUND | {"config", "volumes"},
    "cremi": GROUND | {"volumes", "alignment"},
    "training": SCREEN | ARRAYS | {"config", "drawing", "volumes", "data", "inference"},
    "runs": SCREEN
    | ARRAYS
    | {
        "config",
        "drawing",
        "volumes",
        "phantom",
        "alignment",
        "data",
        "inference",
        "reports",
        "cremi",
        "planning",
        "training",
    },
}
HEAVY = {"torch", "numpy", "pytorch_lightning", "monai", "h5py", "scipy", "cv2"}


def modules() -> list[Path]:
    return sorted(path for path in PACKAGE.rglob("*.py") if path != PACKAGE / "__init__.py")


def room_of(path: Path) -> str:
    first = path.relative_to(PACKAGE).parts[0]
    return first.removesuffix(".py")


def imported(path: Path) -> Iterator[str]:
    """Yield the full name of every module that a file imports, deferred imports included."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports relatively"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def test_every_room_has_its_floor() -> None:
    assert {room_of(path) for path in modules()} == set(MAY_IMPORT)


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_go_downward_only(path: Path) -> None:
    room = room_of(path)
    used = {name.split(".")[1] for name in imported(path) if name.startswith("connectomics.")} - {room, "__version__"}
    assert used <= MAY_IMPORT[room]


@pytest.mark.parametrize("path", [p for p in modules() if room_of(p) in GROUND | {"config"}], ids=lambda p: p.name)
def test_the_settings_need_nothing_heavy(path: Path) -> None:
    assert {name.split(".")[0] for name in imported(path)}.isdisjoint(HEAVY)


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_file_holds_one_idea(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 300


def test_no_two_modules_bear_one_name() -> None:
    names = [path.name for path in modules() if path.name not in ("__init__.py", "cli.py")]
    assert sorted(name for name in set(names) if names.count(name) > 1) == []


BUILDS_JOBS, READS_WISHES = {"job.py", "training_job.py", "assemble.py"}, {"cli.py", "interface.py"}
ASKS_THE_SETTINGS = BUILDS_JOBS | READS_WISHES | {"demo.py", "make_settings.py"}
"""The last two fill volumes into the settings, and try the settings that are written."""


def takes_all_settings(function: ast.FunctionDef) -> bool:
    arguments = function.args.args + function.args.kwonlyargs
    names = [ast.walk(argument.annotation) for argument in arguments if argument.annotation is not None]
    return any(isinstance(node, ast.Name) and node.id == "Config" for nodes in names for node in nodes)


def test_below_the_jobs_nobody_is_handed_all_settings() -> None:
    takers = {
        path.relative_to(PACKAGE).as_posix()
        for path in modules()
        if room_of(path) != "config"
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef) and takes_all_settings(node)
    }
    assert takers == {f"runs/{name}" for name in ASKS_THE_SETTINGS}


def lines_without_docstring(function: ast.FunctionDef) -> int:
    assert function.end_lineno is not None
    lines = function.end_lineno - function.lineno + 1
    first = function.body[0]
    if ast.get_docstring(function) is None or first.end_lineno is None:
        return lines
    return lines - (first.end_lineno - first.lineno + 1)


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_function_holds_one_idea(path: Path) -> None:
    functions = [n for n in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(n, ast.FunctionDef)]
    assert {f.name: lines_without_docstring(f) for f in functions if lines_without_docstring(f) > 40} == {}
