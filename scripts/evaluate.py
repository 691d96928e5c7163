#!/usr/bin/env python
"""Score the prediction of any tool against a label; `evaluate.py --help` says how."""

import sys

from connectomics.stopping import signals_answered

if __name__ == "__main__":
    with signals_answered():
        from connectomics.runs.evaluate import evaluate

        status = evaluate()
    sys.exit(status)
