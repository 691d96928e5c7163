#!/usr/bin/env python
"""Open the results of a test in Neuroglancer; `view.py --help` says how."""

import sys

from connectomics.runs.view import view

if __name__ == "__main__":
    sys.exit(view())
