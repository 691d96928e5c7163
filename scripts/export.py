#!/usr/bin/env python
"""Export predictions, masks and ids for other programs; `export.py --help` says how."""

import sys

from connectomics.runs.export_files import export

if __name__ == "__main__":
    sys.exit(export())
