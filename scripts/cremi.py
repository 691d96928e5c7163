#!/usr/bin/env python
"""From the CREMI challenge's files to a submission; `cremi.py --help` says how."""

import sys

from connectomics.stopping import signals_answered

if __name__ == "__main__":
    with signals_answered():
        from connectomics.runs.cremi.cli import main

        status = main()
    sys.exit(status)
