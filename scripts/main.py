#!/usr/bin/env python
"""Train, test, or show the demo; `main.py --help` says how."""

import sys

from connectomics.stopping import signals_answered

if __name__ == "__main__":
    with signals_answered():
        from connectomics.runs.cli import main

        status = main()
    sys.exit(status)
