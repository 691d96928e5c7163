"""Settings given on the command line, in Hydra's override grammar: `data.dataloader.batch_size=2`."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException

from connectomics.errors import ConfigError

Assignment = tuple[list[str], Any]
"""The segments of a dotted key, and the value assigned to it."""


def parse_overrides(texts: Sequence[str]) -> list[Assignment]:
    """Parse `key=value` arguments.

    Args:
        texts: Arguments of the command line, such as `system.seed=1` or `data.train.image=[a.h5,b.h5]`.

    Returns:
        Segments and value of each, in the order given.

    Raises:
        ConfigError: If one is not of that form, or would add or remove keys of the schema.
    """
    return [_parse(text) for text in texts]


def _parse(text: str) -> Assignment:
    if text.startswith(("+", "~")):
        plain = text.lstrip("+~")
        raise ConfigError(f"command line: {text!r}: settings cannot be added or removed; write {plain!r} to set one")
    try:
        override = OverridesParser.create().parse_override(_with_home(text))
    except HydraException as error:
        reason = str(error).splitlines()[0]
        raise ConfigError(
            f"command line: {text!r} is not of the form key=value ({reason}); "
            "a value with special characters needs quotes: 'key=\"value\"'"
        ) from error
    if override.is_sweep_override():
        raise ConfigError(f"command line: {text!r} names several values; one run takes one")
    return override.key_or_group.split("."), _plain(override.value())


def _with_home(text: str) -> str:
    """Write out the home folder where a path begins with `~/`, a character that Hydra's grammar lacks."""
    key, equals, value = text.partition("=")
    return key + equals + re.sub(r"(^|[\[,:]\s*)~(?=/)", lambda found: found[1] + os.path.expanduser("~"), value)


def _plain(value: Any) -> Any:
    """Return lists, mappings and scalars without the parser's own types."""
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {str(name): _plain(item) for name, item in value.items()}
    if type(value) in (bool, int, float, str) or value is None:
        return value
    return str(value)
