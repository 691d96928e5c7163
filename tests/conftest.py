"""Small arrays gain nothing from several threads, and tests that run side by side would fight for the cores."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
