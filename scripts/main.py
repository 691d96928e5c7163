#!/usr/bin/env python
"""Train, test, or show the demo; `main.py --help` says how."""

import sys

from connectomics.runs.cli import main

if __name__ == "__main__":
    sys.exit(main())
