#!/usr/bin/env python
"""From the CREMI challenge's files to a submission; `cremi.py --help` says how."""

import sys

from connectomics.runs.cremi.cli import main

if __name__ == "__main__":
    sys.exit(main())
