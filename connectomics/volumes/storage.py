"""Whether all voxels of an HDF5 dataset are in the file, and in a form that can be read."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from math import ceil, prod
from pathlib import Path

import h5py

from connectomics.errors import VolumeError
from connectomics.volumes.links import beside, follow, open_file

FILTERS: Mapping[int, str] = {
    305: "LZO", 307: "bzip2", 32000: "LZF", 32001: "Blosc", 32004: "LZ4", 32008: "bitshuffle", 32013: "ZFP",
    32015: "Zstandard", 32017: "SZ", 32018: "FCIDECOMP", 32024: "SZ3", 32026: "Blosc2", 32028: "SPERR",
}  # fmt: skip
"""Registered filters that HDF5 itself lacks."""

MOST_LAYERS = 4
"""How many layers of virtual datasets are followed."""


def check_storage(
    dataset: h5py.Dataset, path: Path, top: Path, files: set[Path], layers: int = MOST_LAYERS
) -> list[str]:
    """Return what to report about how a dataset is stored.

    Args:
        dataset: The dataset; its voxels are not read.
        path: The file that it lies in.
        top: The file that the user named.
        files: The files that hold its voxels are added to this set.
        layers: How many virtual datasets may still follow.

    Raises:
        VolumeError: If its voxels lie outside of the file's folder, or are not there, or no filter undoes their
            compression.
    """
    where = f"{path}:{dataset.name}"
    files.add(path)
    if dataset.external:
        raise VolumeError(
            f"{where} keeps its voxels in the external file {dataset.external[0][0]!r}, which is not read; copy them "
            "into the file (h5repack -l CONTI)"
        )
    if dataset.is_virtual:
        return _check_sources(dataset, where, path, top, files, layers)
    load_filters(dataset, where)
    if dataset.chunks is None:
        empty = dataset.id.get_storage_size() == 0 and dataset.id.get_create_plist().get_layout() == h5py.h5d.CONTIGUOUS
        return [f"no voxel of it was ever written; all are {dataset.fillvalue}"] if empty and dataset.size else []
    chunks = prod(ceil(n / c) for n, c in zip(dataset.shape, dataset.chunks, strict=True))
    return missing_chunks(dataset.id.get_num_chunks(), chunks, dataset.fillvalue)


def missing_chunks(there: int, chunks: int, fill: object) -> list[str]:
    """Return the remark about chunks that were never written, which by the formats read as the fill value."""
    if there >= chunks:
        return []
    return [f"{chunks - there} of {chunks} chunks were never written; their voxels read as {fill}"]


def load_filters(dataset: h5py.Dataset, where: str) -> None:
    """Make sure that this process can undo the compression of a dataset, with `hdf5plugin` where it is installed.

    Raises:
        VolumeError: With the filter that is missing, and where it is to be had.
    """
    plan = dataset.id.get_create_plist()
    filters = [plan.get_filter(i) for i in range(plan.get_nfilters())]
    missing = [one for one in filters if not h5py.h5z.filter_avail(one[0])]
    if not missing:
        return
    code, said = missing[0][0], missing[0][3].decode("ascii", "replace").strip()
    named = f"{FILTERS.get(code, said.partition(';')[0] or 'unknown')} (HDF5 filter {code})"
    try:
        importlib.import_module("hdf5plugin")  # registers its filters
    except ImportError as error:
        raise VolumeError(
            f"{where} is compressed with {named}, which is not installed; pip install hdf5plugin"
        ) from error
    if not all(h5py.h5z.filter_avail(one[0]) for one in missing):
        raise VolumeError(f"{where} is compressed with {named}, which hdf5plugin has not got; store it with gzip")


def _check_sources(
    dataset: h5py.Dataset, where: str, path: Path, top: Path, files: set[Path], layers: int
) -> list[str]:
    """Check each part of a virtual dataset; one that is missing would read as 0."""
    if layers == 0:
        raise VolumeError(f"{where} is a virtual dataset upon virtual datasets upon others; copy it into one")
    notes, mapped, checked = [], 0, set()
    for part in dataset.virtual_sources():
        mapped += part.vspace.get_select_npoints() if part.vspace.get_select_type() != h5py.h5s.SEL_NONE else 0
        source = (part.file_name.replace("%b", "0"), part.dset_name.replace("%b", "0"))
        if source in checked:
            continue
        checked.add(source)
        file = path if source[0] == "." else beside(source[0], path, top, f"{where}, a virtual dataset,")
        with open_file(file) as other:
            real_path, real = follow(file, other, source[1], top)
            with open_file(real_path) as real_file:
                node = real_file[real]
                if not isinstance(node, h5py.Dataset):
                    raise VolumeError(f"{where}, a virtual dataset, leads to {file}:{real}, which is no dataset")
                notes += check_storage(node, real_path, top, files, layers - 1)
    if mapped < dataset.size:
        notes.append(f"{dataset.size - mapped} of its {dataset.size} voxels are mapped to no file and read as "
                     f"{dataset.fillvalue}")  # fmt: skip
    return list(dict.fromkeys(notes))
