"""The stages of `benchmarks/gpu.py`, each a function of a `Bench` and of what takes its rows."""
