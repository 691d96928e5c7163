#!/usr/bin/env python
"""Find synapses in images with a trained network; `predict.py --help` says how."""

import sys

from connectomics.stopping import signals_answered

if __name__ == "__main__":
    with signals_answered():
        from connectomics.runs.commands import predict

        status = predict()
    sys.exit(status)
