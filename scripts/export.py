#!/usr/bin/env python
"""Export predictions, masks and ids for other programs; `export.py --help` says how."""

import sys

from connectomics.stopping import signals_answered

if __name__ == "__main__":
    with signals_answered():
        from connectomics.runs.export_files import export

        status = export()
    sys.exit(status)
