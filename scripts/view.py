#!/usr/bin/env python
"""Open the results of a test in Neuroglancer; `view.py --help` says how."""

import sys

from connectomics.stopping import signals_answered

if __name__ == "__main__":
    with signals_answered():
        from connectomics.runs.view import view

        status = view()
    sys.exit(status)
