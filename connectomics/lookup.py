"""Look a name up in one of the tables that are the seams of the package."""

import inspect
from collections.abc import Callable, Iterable, Mapping
from difflib import get_close_matches
from typing import Any, TypeVar

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


def build(make: Callable[..., T], arguments: Mapping[str, Any], name: str, key: str) -> T:
    """Return `make(**arguments)`, or say which argument it does not take.

    Args:
        make: What a table holds under `name`.
        arguments: Values of the setting `key`, by name.
        name: What the setting beside it names, for the message.
        key: The full dotted key of the arguments.

    Raises:
        ConfigError: If an argument is unknown, missing, or of the wrong kind.
    """
    known = inspect.signature(make).parameters
    for argument in arguments:
        if argument not in known:
            takes = f"it takes {', '.join(known)}" if known else "it takes none"
            raise ConfigError(f"{key}.{argument} is not an argument of {name}{suggest(argument, known)} ({takes})")
    try:
        return make(**arguments)
    except (TypeError, ValueError, RuntimeError) as error:
        raise ConfigError(f"{key} do not fit {name}: {error}") from error
