"""Read YAML files of settings, with the files that they name as their `base`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from connectomics.errors import ConfigError
from connectomics.lookup import suggest

Tree = dict[str, Any]

TUTORIALS = (Path(__file__).parents[2] / "tutorials", Path(__file__).parents[1] / "tutorials")
"""Where the tutorials lie: in a clone, and in an installed package."""

MOST_BYTES = 2**20
"""Largest size of a settings file."""

MOST_NODES = 50_000
"""Largest number of keys and values in a file; those that an alias repeats count each time."""

DEEPEST = 40
"""How deep sections and lists may be nested."""

LONGEST_NUMBER = 400
"""Most characters of a scalar that could be a number; Python refuses to read much longer ones."""


def read_with_bases(path: Path, flag: str = "--config") -> dict[str, Tree]:
    """Return a file's settings, and before them those of the files that it names as `base`.

    `base` is one path or a list of paths, relative to the file that names them; each may have bases of its own. A
    tutorial's bare name, such as `syn_cremi.yaml`, works from everywhere.

    Args:
        path: The YAML file.
        flag: The argument of the command line that names it, for messages.

    Returns:
        Path to plain settings, without `base`; later ones win.

    Raises:
        ConfigError: If a file is missing or cannot be read, or is its own base.
    """
    trees: dict[str, Tree] = {}
    _add(_find_base(path, str(path)), flag, trees, ())
    return trees


def read_tree(path: Path, flag: str = "--config") -> Tree:
    """Return the plain settings of one file; arguments and errors are those of `read_with_bases`."""
    if not path.is_file():
        siblings = [p.name for p in path.parent.glob("*.y*ml")] if path.parent.is_dir() else []
        kind = "is no regular file" if path.exists() else f"no such file{suggest(path.name, siblings)}"
        raise ConfigError(f"{flag} {path}: {kind}")
    try:
        if path.stat().st_size > MOST_BYTES:
            raise ConfigError(f"{path} is not a YAML file of settings: it is larger than {MOST_BYTES} bytes")
        _require_bounded(path)
        loaded = OmegaConf.to_container(OmegaConf.load(path), resolve=False)
    except (yaml.YAMLError, OmegaConfBaseException, ValueError, OSError) as error:
        reason = " ".join(str(error).split())
        raise ConfigError(f"{path} is not a YAML file of settings: {reason}") from error
    if not isinstance(loaded, dict):
        raise ConfigError(f"{path} is not a YAML file of settings: it must hold sections such as `default:`")
    return loaded  # type: ignore[return-value]


def _add(path: Path, flag: str, trees: dict[str, Tree], above: tuple[Path, ...]) -> None:
    """Add a file behind its bases; one that several files name stands where it is named first."""
    if path.resolve() in above:
        raise ConfigError(f"{path}: it is its own base, by way of {', '.join(str(p) for p in above)}")
    tree = read_tree(path, flag)
    for base in _bases(path, tree.pop("base", None)):
        _add(base, f"{path}: base", trees, (*above, path.resolve()))
    trees.setdefault(str(path), tree)


def _bases(path: Path, named: Any) -> Iterator[Path]:
    names = [] if named is None else named if isinstance(named, list) else [named]
    for name in names:
        if not isinstance(name, str):
            raise ConfigError(f"{path}: base is {named!r}; it must be a path, or a list of paths")
        yield _find_base(path.parent / Path(name).expanduser(), name)


def _find_base(path: Path, name: str) -> Path:
    """Return the file itself; a bare name that no file bears may also be that of a tutorial of this package."""
    if path.exists() or Path(name).name != name:
        return path
    return next((folder / name for folder in TUTORIALS if (folder / name).is_file()), path)


def _require_bounded(path: Path) -> None:
    """Refuse, before anything is built, what would take long or forever: deep nesting, and aliases of aliases.

    Raises:
        ConfigError: With what is too much.
    """
    sizes: dict[str, int] = {}  # anchor -> nodes that an alias of it repeats
    opened: list[tuple[str | None, int]] = []  # anchor of each open section or list, and the nodes before it
    nodes = 0
    with path.open("rb") as file:
        for event in yaml.parse(file, Loader=yaml.SafeLoader):
            if isinstance(event, yaml.AliasEvent):
                if any(anchor == event.anchor for anchor, _ in opened):
                    raise ConfigError(f"{path} is not a YAML file of settings: *{event.anchor} stands within itself")
                nodes += sizes.get(event.anchor, 1)
            elif isinstance(event, yaml.CollectionStartEvent):
                nodes += 1
                opened.append((event.anchor, nodes - 1))
            elif isinstance(event, yaml.CollectionEndEvent):
                anchor, before = opened.pop()
                if anchor is not None:
                    sizes[anchor] = nodes - before
            elif isinstance(event, yaml.ScalarEvent):
                nodes += 1
                _require_short(path, event.value)
            if nodes > MOST_NODES or len(opened) > DEEPEST:
                what = f"more than {MOST_NODES} values" if nodes > MOST_NODES else f"more than {DEEPEST} levels"
                raise ConfigError(f"{path} is not a YAML file of settings: it holds {what}")


def _require_short(path: Path, text: str) -> None:
    if len(text) > LONGEST_NUMBER and not any(c.isalpha() or c == "/" for c in text):
        raise ConfigError(f"{path} is not a YAML file of settings: it holds a number of {len(text)} characters")
