#!/usr/bin/env python
"""Find synapses in images with a trained network; `predict.py --help` says how."""

import sys

from connectomics.runs.commands import predict

if __name__ == "__main__":
    sys.exit(predict())
