#!/usr/bin/env python
"""Score the prediction of any tool against a label; `evaluate.py --help` says how."""

import sys

from connectomics.runs.evaluate import evaluate

if __name__ == "__main__":
    sys.exit(evaluate())
