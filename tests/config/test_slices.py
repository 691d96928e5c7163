import pytest

from connectomics.config.slices import is_slice, parse_slice
from connectomics.errors import ConfigError


@pytest.mark.parametrize("text", [":", "0:1", ":-2", "-2:", "1:3", " 1 : 3 "])
def test_a_slice_selects_what_python_selects(text: str) -> None:
    start, stop = (int(part) if part.strip() else None for part in text.split(":"))
    assert list(parse_slice(text, 5, "key")) == list(range(5))[start:stop]
    assert is_slice(text)


@pytest.mark.parametrize("text", ["", "1", "a:b", "3:2", "0:9", "-9:", "1:2:3"])
def test_what_is_no_slice_or_selects_nothing_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match=r"^key is "):
        parse_slice(text, 5, "key")
