"""Look a name up in one of the tables that are the seams of the package."""

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import TypeVar

from connectomics.errors import ConfigError

T = TypeVar("T")


def suggest(name: str, names: Iterable[str]) -> str:
    """Return "; did you mean 'x'?" for the closest of `names`, or nothing when none is close."""
    near = get_close_matches(name, list(names), n=1)
    return f"; did you mean {near[0]!r}?" if near else ""


def pick(table: Mapping[str, T], name: str, key: str) -> T:
    """Return `table[name]`, or say which setting names something unknown.

    Args:
        table: One of the seams: `LOSSES`, `METRICS`, ...
        name: What the setting names.
        key: The full dotted key of that setting, for the message.

    Raises:
        ConfigError: If `table` has no such entry.
    """
    if name in table:
        return table[name]
    raise ConfigError(f"{key} is {name!r}; it must be one of {', '.join(table)}{suggest(name, table)}")
