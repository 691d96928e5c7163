"""Tables of objects as Parquet, with typed columns; pyarrow, which writes it, is an extra."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from connectomics.errors import ConfigError
from connectomics.files import write_whole
from connectomics.reports.columns import Column, Kind

TYPES: Mapping[Kind, str] = {"whole": "int64", "number": "float64", "truth": "bool", "text": "string"}
"""Kind of a column to the type of Arrow; what does not exist is null."""


def require_pyarrow() -> None:
    """Refuse to go on where Parquet cannot be written.

    Raises:
        ConfigError: If pyarrow is not installed.
    """
    if find_spec("pyarrow") is None:
        raise ConfigError('evaluation.parquet needs pyarrow: pip install -e ".[parquet]", or set it to false')


def write_parquet(path: Path, columns: Sequence[Column], rows: Sequence[Mapping[str, Any]]) -> None:
    """Write rows, whole or not at all, with the meaning of each column in its metadata.

    Args:
        path: The file to write.
        columns: What each row holds.
        rows: By the names of the columns; None is null.

    Raises:
        UserError: If they cannot be written.
    """
    import pyarrow
    from pyarrow import parquet

    fields = [pyarrow.field(one.name, TYPES[one.kind], metadata={"description": one.meaning}) for one in columns]
    by_column = {one.name: [row[one.name] for row in rows] for one in columns}
    with write_whole(path) as partial:
        parquet.write_table(pyarrow.table(by_column, pyarrow.schema(fields)), partial)
