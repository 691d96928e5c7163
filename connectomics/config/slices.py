"""Slices as they are written in a YAML file: "0:1", ":", ":-20"."""

import re

from connectomics.errors import ConfigError

_PATTERN = re.compile(r"^\s*(-?\d+)?\s*:\s*(-?\d+)?\s*$")


def is_slice(text: str) -> bool:
    """Return whether `text` is "start:stop", either of which may be left out or negative."""
    return _PATTERN.match(text) is not None


def parse_slice(text: str, extent: int, key: str) -> range:
    """Return the indices that `text` selects from `extent` ones.

    Args:
        text: "start:stop"; a negative number counts from the end.
        extent: How many there are to select from.
        key: The setting that holds the text, for the message.

    Raises:
        ConfigError: If `text` is not a slice, selects nothing, or reaches past the end.
    """
    match = _PATTERN.match(text)
    if match is None:
        raise ConfigError(f'{key} is {text!r}; it must be "start:stop", such as "0:1"')
    given = [int(part) for part in match.groups() if part is not None]
    selected = range(extent)[slice(*(int(part) if part is not None else None for part in match.groups()))]
    if len(selected) == 0 or any(part > extent or part < -extent for part in given):
        raise ConfigError(f"{key} is {text!r}, which does not lie within the {extent} there are")
    return selected
