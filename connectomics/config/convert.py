"""Turn a plain tree of settings into the typed dataclasses of the schema, strictly."""

from __future__ import annotations

import types
from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from functools import cache
from math import isfinite
from typing import TYPE_CHECKING, Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from connectomics.errors import ConfigError
from connectomics.lookup import suggest

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

S = TypeVar("S", bound="DataclassInstance")

MOVED = {
    "model.rsunet.width": "model.rsunet.filters",
    "model.monai": "model.rsunet.filters",
    "model.filters": "model.rsunet.filters",
    "model.patch_size": "data.dataloader.patch_size",
    "model.input_size": "data.dataloader.patch_size",
    "model.output_size": "data.dataloader.patch_size",
    "data.patch_size": "data.dataloader.patch_size",
    "data.batch_size": "data.dataloader.batch_size",
    "optimization.max_epochs": "optimization.max_steps",
}
"""Keys that other tools use for a setting that has a different key here."""


class Origins:
    """Where each setting was written, so that a complaint can name the place."""

    def __init__(self, source: str) -> None:
        self._source = source
        self._places: dict[str, str] = {}
        self._references: dict[str, str] = {}

    def note(self, key: str, place: str) -> None:
        """Record that `key` was last set at `place`."""
        self._places[key] = place

    def note_reference(self, key: str, text: str, place: str) -> None:
        """Record that the value of `key` came by the reference `text` from a setting that was written at `place`."""
        self._references[key] = f", {text} of {place},"

    def of(self, key: str) -> str:
        """Return the place of `key`, or of the closest section around it that was written."""
        return self._first(key, self._places, f"{self._source}: {key}") + self._first(key, self._references, "", False)

    def _first(self, key: str, noted: Mapping[str, str], otherwise: str, rest: bool = True) -> str:
        """Return what was noted of `key`, or of the closest section around it, with the `rest` of the key."""
        near = key
        while near:
            if near in noted:
                return noted[near] + (key[len(near) :] if rest else "")
            near = near[:-1].rpartition("[")[0] if near.endswith("]") else near.rpartition(".")[0]
        return otherwise


def convert(schema: type[S], tree: Any, key: str, origins: Origins) -> S:
    """Build the dataclass `schema` from `tree`; what the tree leaves out takes its default.

    Args:
        schema: A dataclass of the schema.
        tree: Plain mappings, lists and scalars, as a YAML file holds them; None is an empty section.
        key: Full dotted key of this section; empty at the top.
        origins: Where each setting was written.

    Raises:
        ConfigError: If a key is unknown, or a value has not the type of its setting.
    """
    if tree is None:
        tree = {}
    if not isinstance(tree, Mapping):
        raise ConfigError(f"{origins.of(key)} is {tree!r}; it is a section and holds settings of its own")
    hints = _hints(schema)
    for name in tree:
        if name not in hints:
            raise ConfigError(_unknown(_join(key, str(name)), str(name), list(hints), origins))
    required = [f.name for f in fields(schema) if f.name not in tree and _is_required(f)]
    if required:
        raise ConfigError(f"{origins.of(key)} lacks the setting {required[0]!r}")
    return schema(**{name: _typed(hints[name], value, _join(key, name), origins) for name, value in tree.items()})


@cache
def _hints(schema: type[DataclassInstance]) -> dict[str, Any]:
    return get_type_hints(schema)


def _is_required(spec: Any) -> bool:
    return spec.default is MISSING and spec.default_factory is MISSING


def _join(key: str, name: str) -> str:
    return f"{key}.{name}" if key else name


def _unknown(key: str, name: str, known: list[str], origins: Origins) -> str:
    for old, new in MOVED.items():
        if key == old or key.startswith(old + "."):
            return f"{origins.of(key)} is not a setting here; the only key for this is {new}"
    hint = suggest(name, known) or f"; known here: {', '.join(known)}"
    return f"{origins.of(key)} is not a known setting{hint}"


def _typed(hint: Any, value: Any, key: str, origins: Origins) -> Any:
    """Return `value` as the type `hint` says, or complain at `key`."""
    origin, args = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        return _first_that_fits(args, value, key, origins)
    if is_dataclass(hint):
        return convert(hint, value, key, origins)  # type: ignore[arg-type]
    if origin is list and isinstance(value, list):
        return [_typed(args[0], item, f"{key}[{i}]", origins) for i, item in enumerate(value)]
    if origin is tuple and isinstance(value, list) and len(value) == len(args):
        items = enumerate(zip(args, value, strict=True))
        return tuple(_typed(arg, item, f"{key}[{i}]", origins) for i, (arg, item) in items)
    if origin is dict and isinstance(value, Mapping):
        return dict(value)
    if origin is Literal and isinstance(value, str) and value in args:
        return value
    if hint is type(None) and value is None:
        return None
    if hint in (bool, str, int) and type(value) is hint:
        return value
    if hint is float and type(value) in (int, float) and isfinite(value):
        return float(value)
    near = suggest(value, args) if origin is Literal and isinstance(value, str) else ""
    raise ConfigError(f"{origins.of(key)} is {_show(value)}; it must be {_describe(hint)}{near}")


def _first_that_fits(hints: tuple[Any, ...], value: Any, key: str, origins: Origins) -> Any:
    for hint in hints:
        try:
            return _typed(hint, value, key, origins)
        except ConfigError:
            if isinstance(value, list | Mapping) and get_origin(hint) in (list, tuple, dict):
                raise
    wanted = " or ".join(_describe(hint) for hint in hints)
    raise ConfigError(f"{origins.of(key)} is {_show(value)}; it must be {wanted}")


def _show(value: Any) -> str:
    """Write a value as a YAML file would."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return repr(value)


def _describe(hint: Any) -> str:
    """Say in words what a setting of type `hint` takes."""
    origin, args = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        return " or ".join(_describe(arg) for arg in args)
    if origin is Literal:
        return f"one of {', '.join(args)}" if len(args) > 1 else repr(args[0])
    if origin is list:
        return f"a list, each item {_describe(args[0])}"
    if origin is tuple:
        return f"a list of {len(args)}, each {_describe(args[0])}"
    words = {int: "a whole number", float: "a number", bool: "true or false", str: "a text", type(None): "null"}
    return words.get(hint, "a section" if origin is not dict else "names with values")
