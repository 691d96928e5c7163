"""Links inside HDF5 files: followed by our own code, so that none reaches a file that the user did not mean."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py

from connectomics.errors import VolumeError
from connectomics.volumes.damage import require_regular

MOST_LINKS = 16
"""How many links may follow one another; more are a circle."""

MOST_NODES = 2000
"""How many nodes of a file are visited in search of its datasets."""


def follow(path: Path, file: h5py.File, name: str, top: Path, links: int = MOST_LINKS) -> tuple[Path, str]:
    """Return the file and the place in it where the object `name` really lies.

    Args:
        path: Where `file` lies.
        file: Open for reading.
        name: Name of a dataset or group.
        top: The file that the user named; external links may lead to files in its folder, and below.
        links: How many may still follow.

    Raises:
        VolumeError: If a link leads out of the folder, to nothing, or in a circle.
    """
    if links == 0:
        raise VolumeError(f"{path}: its links lead in a circle at {name.rstrip('/')}")
    parts, at = [part for part in name.split("/") if part not in ("", ".")], ""
    for i, part in enumerate(parts):
        group, rest = file[at or "/"], "/".join(parts[i + 1 :])
        link = group.get(part, getlink=True) if isinstance(group, h5py.Group) else None
        if isinstance(link, h5py.SoftLink):
            target = link.path if link.path.startswith("/") else f"{at}/{link.path}"
            return follow(path, file, f"{target}/{rest}", top, links - 1)
        if isinstance(link, h5py.ExternalLink):
            other = beside(link.filename, path, top, f"the external link {at}/{part} of {path}")
            with open_file(other) as linked:
                return follow(other, linked, f"{link.path}/{rest}", top, links - 1)
        if not isinstance(link, h5py.HardLink):
            raise VolumeError(f"{path} has no {at}/{part}, to which a link leads")
        at = f"{at}/{part}"
    return path, at or "/"


def is_there(file: h5py.File, name: str) -> bool:
    """Return whether a dataset, or a link, of that name is there; where it leads is another question."""
    group = file
    for part in name.split("/"):
        link = group.get(part, getlink=True) if isinstance(group, h5py.Group) else None
        if link is None:
            return False
        if not isinstance(link, h5py.HardLink):
            return True
        group = group[part]
    return isinstance(group, h5py.Dataset)


def open_file(path: Path) -> h5py.File:
    """Open an HDF5 file for reading.

    Raises:
        VolumeError: With what the system said, and what to do.
    """
    require_regular(path)
    try:
        return h5py.File(path, "r")
    except PermissionError as error:
        raise VolumeError(f"{path} cannot be read: {error.strerror or error}") from error
    except (OSError, RuntimeError, ValueError) as error:
        reason = str(error)
        if "unable to lock" in reason or "already open" in reason or isinstance(error, BlockingIOError):
            raise VolumeError(
                f"{path} cannot be opened while another program has it open for writing ({reason}); close it there. On "
                "a file system that locks nothing, set HDF5_USE_FILE_LOCKING=FALSE in the environment"
            ) from error
        raise VolumeError(f"{path} cannot be opened as HDF5; it is truncated or no HDF5 file: {reason}") from error


def beside(name: str, path: Path, top: Path, what: str) -> Path:
    """Return the file that `path` names, which must lie in the folder of `top` or below.

    Raises:
        VolumeError: If it does not, or is not there.
    """
    folders = {top.parent.resolve(), top.resolve().parent}
    candidates = [(folder / name).resolve() for folder in (path.parent, path.resolve().parent)]
    inside = [file for file in candidates if any(file.is_relative_to(folder) for folder in folders)]
    if not inside:
        raise VolumeError(
            f"{what} leads to {name}, out of the folder of {top}; copy that file there, or name it itself"
        )
    for file in inside:
        if file.exists():
            require_regular(file)
            return file
    raise VolumeError(f"{what} leads to {name}, which does not exist")


def list_datasets(path: Path, file: h5py.File, top: Path) -> list[str]:
    """Return the names of all datasets, links to datasets included; several names of one dataset are one."""
    names: list[str] = []
    seen: set[tuple[Path, str]] = set()
    left = [MOST_NODES]
    for name, place in _walk(path, file, "", top, (), left):
        if place is None or place not in seen:
            names.append(name)
        if place is not None:
            seen.add(place)
    return names


def _walk(
    path: Path, file: h5py.File, name: str, top: Path, above: tuple[Any, ...], left: list[int]
) -> Iterator[tuple[str, tuple[Path, str] | None]]:
    """Yield each dataset below a group: its name, and where it really lies; None where a link leads nowhere."""
    group = file[name or "/"]
    here = (path, h5py.h5o.get_info(group.id).addr)
    if here in above:  # a circle of links
        return
    for part in group:
        left[0] -= 1
        if left[0] < 0:
            return
        inner = f"{name}/{part}".strip("/")
        try:
            other, real = follow(path, file, inner, top)
        except VolumeError:
            yield inner, None
            continue
        if other == path:
            yield from _members(other, file, real, inner, top, (*above, here), left)
        else:
            with open_file(other) as linked:
                yield from _members(other, linked, real, inner, top, (*above, here), left)


def _members(
    path: Path, file: h5py.File, real: str, name: str, top: Path, above: tuple[Any, ...], left: list[int]
) -> Iterator[tuple[str, tuple[Path, str] | None]]:
    kind = file.get(real, getclass=True)
    if kind is h5py.Dataset:
        yield name, (path, real)
    elif kind is h5py.Group:
        for inner, place in _walk(path, file, real, top, above, left):
            yield f"{name}/{inner.removeprefix(real.strip('/')).strip('/')}", place
