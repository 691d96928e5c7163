#!/usr/bin/env python
"""Write `docs/settings.md`, every setting with default and meaning, from the dataclasses of `connectomics/config`.

python scripts/dev/settings_reference.py            writes the page
python scripts/dev/settings_reference.py --check    says whether it is what the code says; status 1 if not
"""

from __future__ import annotations

import ast
import inspect
import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import MISSING, Field, fields, is_dataclass
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

from connectomics.config import Config, as_plain

PAGE = Path(__file__).parents[2] / "docs" / "settings.md"
HEAD = """\
# Settings

Every setting, with its default. It is written `section.key=value` on the command line and nested in YAML; sections
stand in this order in a file. The tutorials hold the values for their data, which are often others than these.

- In a file, `default:` holds for all modes; `train:`, `tune:` and `test:` for one (`predict` takes those of `test`).
- `base: syn_cremi.yaml` builds on another file; `${data.dataloader.patch_size}` takes the value of another setting.
- On the command line a key belongs to the mode that runs; `test.data.test.crop=null` names another one.
- `--print-config` prints all settings of a run, as they are after folding.

This page is made from the code by `python scripts/dev/settings_reference.py`.
"""


@cache
def notes(schema: type) -> Mapping[str, str]:
    """Return the docstring below each field of a dataclass."""
    tree = ast.parse(inspect.getsource(schema)).body[0]
    assert isinstance(tree, ast.ClassDef)
    found = {key: note for base in schema.__bases__ if is_dataclass(base) for key, note in notes(base).items()}
    name = ""
    for node in tree.body:
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            name = node.target.id
        elif name and isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            found[name] = " ".join(str(node.value.value).split())
            name = ""
        else:
            name = ""
    return found


def sections(schema: type, key: str = "") -> Iterator[tuple[str, type]]:
    """Yield the full key of every section, and its dataclass."""
    yield key, schema
    for name, hint in get_type_hints(schema).items():
        inner = next((h for h in (hint, *get_args(hint)) if is_dataclass(h)), None)
        if isinstance(inner, type):
            is_list = get_origin(hint) is list
            yield from sections(inner, f"{key}.{name}".lstrip(".") + ("[]" if is_list else ""))


def choices(hint: Any) -> str:
    """Return what a setting may be, where it is one of a few words."""
    return " or ".join(f"`{word}`" for word in get_args(hint)) if get_origin(hint) is Literal else ""


def written(field: Field[Any]) -> str:
    """Return the default of a field as YAML has it."""
    if field.default is not MISSING:
        value = field.default
    elif field.default_factory is not MISSING:
        value = field.default_factory()
    else:
        return "(needed)"
    if isinstance(value, list | tuple) and value and is_dataclass(value[0]):
        return "see the tutorial"
    plain = {True: "true", False: "false", None: "null"}.get(value) if isinstance(value, bool | None) else None
    return f"`{plain or _list(value)}`" if plain or value != "" else '`""`'


def _list(value: Any) -> str:
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_list(item) for item in value) + "]"
    return f"{value:g}" if isinstance(value, float) else str(value)


def make_page() -> str:
    """Return the page."""
    as_plain(Config())  # the schema can be built
    parts = [HEAD]
    for key, schema in sections(Config):
        own = [field for field in fields(schema) if not _is_section(schema, field.name)]
        if not own:
            continue
        title = f"## `{key}`" if key else "## At the top"
        about = "" if not key else f"\n{_about(schema)}\n"
        hints, said = get_type_hints(schema), notes(schema)
        rows = [_row(field, said[field.name], choices(hints[field.name])) for field in own]
        parts.append("\n".join([title, about, "| key | default | meaning |", "|---|---|---|", *rows, ""]))
    return "\n".join(parts)


def _about(schema: type) -> str:
    """Return what a section is, without its key, which is the heading."""
    text = " ".join((inspect.getdoc(schema) or "").split())
    shorter = re.sub(r"^(`[^`]+`(, )?)+: ", "", text)
    return shorter[:1].upper() + shorter[1:]


def _names(note: str) -> str:
    """Return a note with the names of the table that it speaks of."""
    found = re.search(r"`([a-z_.]+)\.([A-Z_]+)`", note)
    if found is None:
        return note
    table = vars(import_module(f"connectomics.{found[1]}"))[found[2]]
    return f"{note} Those are {', '.join(f'`{name}`' for name in table)}."


def _row(field: Field[Any], note: str, words: str) -> str:
    """Return the row of one setting."""
    whole = f"{words}. {note}" if words else _names(note)
    return f"| `{field.name}` | {written(field)} | {whole.replace('|', chr(92) + '|').replace('<', '&lt;')} |"


def _is_section(schema: type, name: str) -> bool:
    hint = get_type_hints(schema)[name]
    return any(is_dataclass(h) for h in (hint, *get_args(hint))) and get_origin(hint) is not list


def main(argv: list[str]) -> int:
    """Write the page, or compare it with the code."""
    page = make_page()
    if argv == ["--check"]:
        same = PAGE.exists() and PAGE.read_text(encoding="utf-8") == page
        print(
            "docs/settings.md is up to date"
            if same
            else "docs/settings.md is not what the code says; run this without --check"
        )
        return 0 if same else 1
    PAGE.parent.mkdir(exist_ok=True)
    PAGE.write_text(page, encoding="utf-8")
    print(f"{PAGE.name}: {page.count(chr(10))} lines")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
