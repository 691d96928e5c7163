"""References: a setting that takes the value of another one, written `${data.dataloader.patch_size}`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from copy import deepcopy
from typing import Any

from connectomics.config.convert import Origins
from connectomics.errors import ConfigError
from connectomics.lookup import suggest

REFERENCE = re.compile(r"\$\{([^${}]*)\}")


def resolve_references(tree: dict[str, Any], origins: Origins) -> None:
    """Replace every reference in `tree` by the value of the setting that it names, in place.

    A reference names a setting of the same mode by its full dotted key, and nothing else: no environment, no function.
    It may stand within a text, such as `outputs/${experiment_name}`, where the value is a text or a number.

    Args:
        tree: The folded settings of one mode.
        origins: Where each setting was written; a complaint about a value that came through a reference names both
            places.

    Raises:
        ConfigError: If a reference is malformed, names no setting, or leads back to itself.
    """
    _resolve(tree, "", tree, origins, ())


def _resolve(value: Any, key: str, tree: dict[str, Any], origins: Origins, above: tuple[str, ...]) -> Any:
    """Return `value` without references; sections and lists are changed in place."""
    if isinstance(value, dict):
        for name, item in value.items():
            value[name] = _resolve(item, f"{key}.{name}" if key else str(name), tree, origins, above)
    elif isinstance(value, list):
        value[:] = [_resolve(item, f"{key}[{i}]", tree, origins, above) for i, item in enumerate(value)]
    elif isinstance(value, str) and ("${" in value or value == "???"):
        return _follow(value, key, tree, origins, above)
    return value


def _follow(text: str, key: str, tree: dict[str, Any], origins: Origins, above: tuple[str, ...]) -> Any:
    named = REFERENCE.findall(text)
    if not named or "${" in REFERENCE.sub("", text):
        raise ConfigError(
            f"{origins.of(key)} is {text!r}; a reference names one other setting, such as "
            "${data.dataloader.patch_size}"
        )
    values = {name: _value_of(name.strip(), text, key, tree, origins, above) for name in named}
    if REFERENCE.fullmatch(text):
        return values[named[0]]
    for name, value in values.items():
        if isinstance(value, bool) or not isinstance(value, str | int | float):
            raise ConfigError(f"{origins.of(key)} is {text!r}; ${{{name}}} is {value!r}, which is no text or number")
    return REFERENCE.sub(lambda found: str(values[found.group(1)]), text)


def _value_of(name: str, text: str, key: str, tree: dict[str, Any], origins: Origins, above: tuple[str, ...]) -> Any:
    """Return a copy of the value of the setting `name`, itself without references."""
    if name in above or name == key or key.startswith((f"{name}.", f"{name}[")):
        raise ConfigError(f"{origins.of(key)} is {text!r}, which leads back to itself")
    node: Any = tree
    for depth, segment in enumerate(name.split(".")):
        if not isinstance(node, Mapping) or segment not in node:
            known = list(node) if isinstance(node, Mapping) else []
            at = ".".join(name.split(".")[:depth])
            where = f" of {at}" if at else ""
            raise ConfigError(f"{origins.of(key)} is {text!r}; {segment} is no setting{where}{suggest(segment, known)}")
        node = node[segment]
    origins.note_reference(key, text, origins.of(name))
    return _resolve(deepcopy(node), name, tree, origins, (*above, key))
