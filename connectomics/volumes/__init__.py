"""Floor 2: volumes on disk and in memory: HDF5, Zarr, TIFF, CREMI's files; scaling, padding, alignment, the phantom."""
