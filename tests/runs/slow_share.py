"""The command line with a moment's pause at each piece that is written; run by `test_shares.py`."""

import sys
import time

from connectomics.runs.cli import main
from connectomics.volumes.pieces import Pieces
from connectomics.volumes.sections import Sections

_write = Pieces.write


def _write_slowly(pieces: Pieces, sections: Sections) -> None:
    _write(pieces, sections)
    time.sleep(0.2)


if __name__ == "__main__":
    Pieces.write = _write_slowly  # type: ignore[method-assign]
    sys.exit(main(sys.argv[1:]))
