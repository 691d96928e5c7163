"""Floor 2: volumes on disk and in memory: HDF5, the CREMI layout, Zarr, TIFF; scaling, padding, the phantom."""
