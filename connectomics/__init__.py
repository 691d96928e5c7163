"""Find synapses in volume electron microscopy; `connectomics/README.md` is the map of the package."""

__version__ = "0.1.0"
