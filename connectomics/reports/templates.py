"""The pages' templates, and the one place that fills them: what is not said to be HTML is escaped."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import IO, Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from connectomics.drawing.outcome_styles import STYLES
from connectomics.reports.counts import key_of

FOLDER = Path(__file__).parent / "template"

PIECE = 1 << 20
"""How many characters of a file are held at a time while it is copied into a page."""


def fill(page: IO[str], template: str, **values: Any) -> None:
    """Write a template with its values, piece by piece, so that a page is never held as a whole.

    Args:
        page: What is written to.
        template: Name of a file in `template/`.
        values: What the template names, all of it; text is escaped, except for `Markup`.
    """
    for piece in _environment().get_template(template).generate(**values):
        page.write(piece)


def pieces_of(file: IO[str]) -> Iterator[Markup]:
    """Yield a file that holds HTML, from its beginning and a piece at a time."""
    file.seek(0)
    yield from map(Markup, iter(partial(file.read, PIECE), ""))


def dump_json(value: Any) -> Markup:
    """Return JSON that can stand in an HTML `script` element: it holds no `<`, whatever a file is called."""
    return Markup(json.dumps(value, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c"))


def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(FOLDER),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals |= {"verbatim": _verbatim, "styles": {key_of(kind): style for kind, style in STYLES.items()}}
    environment.filters |= {"tick": write_tick, "score": write_score}
    return environment


def write_tick(value: float) -> str:
    """Return a round number as it stands at an axis."""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:g}"


def write_score(value: float | None) -> str:
    """Return a score to four digits, or say that there is none."""
    return "undefined" if value is None else f"{value:.4g}"


def _verbatim(name: str) -> Markup:
    """Return a style sheet or a script: it stands in the page as it is, and is no template."""
    return Markup((FOLDER / name).read_text(encoding="utf-8"))
