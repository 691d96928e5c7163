"""Floor 2: volumes on disk and in memory: HDF5, Zarr, TIFF, CREMI's layout; axes, units, grey values, padding."""
